//! Text into SQL.

/// A string literal that no content breaks, whatever `standard_conforming_strings` says.
pub fn quote_literal(_text: &str) -> String {
    todo!()
}

/// A quoted identifier.
pub fn quote_identifier(_name: &str) -> String {
    todo!()
}
