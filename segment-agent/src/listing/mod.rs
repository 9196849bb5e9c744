//! What the list commands print: byte for byte what WAL-G prints, for scripts that read it.
//!
//! An empty list prints `[]` as JSON; as text it prints nothing and says so in the log.

mod backups;
mod details;
#[cfg(test)]
mod golden_tests;
pub mod json;
mod proofs;
pub mod table;

#[cfg(test)]
pub(crate) use golden_tests::known as known_backups;

use std::io::{self, Write};

use serde::Serialize;

pub use backups::{Entry, backups, entries};
pub use details::{BackupFields, backup_details, backup_fields};
pub use proofs::proofs;
use table::Table;

/// The form of a list, from the flags `--pretty` and `--json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Columns padded with blanks.
    Plain,
    /// A box of ASCII characters, with numbered rows.
    Pretty,
    /// One line.
    Json,
    /// Indented by four blanks.
    PrettyJson,
}

impl Layout {
    pub fn from_flags(pretty: bool, json: bool) -> Self {
        match (pretty, json) {
            (false, false) => Self::Plain,
            (true, false) => Self::Pretty,
            (false, true) => Self::Json,
            (true, true) => Self::PrettyJson,
        }
    }
}

/// `table` holds the rows `documents` as text; `nothing` is for the log.
pub fn write_list<T: Serialize>(
    layout: Layout,
    table: &Table<'_>,
    documents: &[T],
    nothing: &str,
    out: &mut impl Write,
) -> io::Result<()> {
    match layout {
        Layout::Json => json::write_line(documents, out),
        Layout::PrettyJson => json::write_indented(documents, out),
        Layout::Plain | Layout::Pretty if documents.is_empty() => {
            tracing::info!("{nothing}");
            Ok(())
        }
        Layout::Plain => table.write_plain(out),
        Layout::Pretty => table.write_boxed(out),
    }
}
