//! Are the files of append-optimized tables as long as their catalog says? File by file: a sum would let a long file hide a
//! short one. A file may be longer, for a transaction that may still commit writes behind the end; a shorter one has lost rows.

mod live;
mod stored;

pub use live::check_server;
pub use stored::check_backup;

/// What was looked at, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lengths {
    pub files: u64,
    /// One text for each file that is too short.
    pub problems: Vec<String>,
}
