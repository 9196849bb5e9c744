//! The table of all settings.

/// Which program reads a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppliesTo {
    Both,
    Postgres,
    Greenplum,
    /// An option of a storage kind; its default is applied by the storage, after its prefix rules.
    Storage,
}

/// One row of [`TABLE`].
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub name: &'static str,
    pub applies_to: AppliesTo,
    pub default_pg: Option<&'static str>,
    pub default_gp: Option<&'static str>,
    /// Never shown.
    pub secret: bool,
    pub doc: &'static str,
}

pub static TABLE: &[Setting] = &[];

/// The row of `name` (upper case).
pub fn find(_name: &str) -> Option<&'static Setting> {
    todo!()
}

/// True if the value of `name` must not be shown.
pub fn is_secret(_name: &str) -> bool {
    todo!()
}
