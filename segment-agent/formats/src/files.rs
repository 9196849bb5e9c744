//! `<backup>/files_metadata.json`: every file of a backup, which archive holds it, and the tables of each database.
//!
//! The document can have gigabytes. [`FilesMetadata`] holds all of it; [`FilesMetadataReader`] passes over it piece by
//! piece, [`FilesMetadataWriter`] writes it piece by piece.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::go_json::null_as_default;

pub use crate::files_reader::FilesMetadataReader;
pub use crate::files_writer::{FilesMetadataWriter, file_entry_json, tar_member_json};

/// The whole document. Each of its three keys is left out when empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FilesMetadata {
    /// By archive member name: path relative to the data directory, with a leading slash in local backups.
    #[serde(rename = "Files", deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, FileDescription>,
    /// Member names by file name of the archive. Neither skipped files nor pg_control are listed.
    #[serde(rename = "TarFileSets", deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub tar_file_sets: BTreeMap<String, Vec<String>>,
    #[serde(
        rename = "DatabasesByNames",
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub databases: DatabasesByNames,
}

/// How one file went into the backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileDescription {
    /// The archive holds an increment: only the changed pages.
    #[serde(rename = "IsIncremented", deserialize_with = "null_as_default")]
    pub is_incremented: bool,
    /// Unchanged since the base backup: no archive of this backup holds it.
    #[serde(rename = "IsSkipped", deserialize_with = "null_as_default")]
    pub is_skipped: bool,
    /// With the full precision of the file system: the next delta compares it for equality.
    #[serde(rename = "MTime", deserialize_with = "null_as_default")]
    pub mtime: Timestamp,
    #[serde(rename = "CorruptBlocks", skip_serializing_if = "Option::is_none")]
    pub corrupt_blocks: Option<CorruptBlocks>,
    /// Changes of the table as counted by the server; 0 unless archives were composed by it.
    #[serde(rename = "UpdatesCount", deserialize_with = "null_as_default")]
    pub updates_count: u64,
}

/// Pages whose checksum was wrong when the backup was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CorruptBlocks {
    #[serde(rename = "CorruptBlocksCount")]
    pub count: u64,
    /// Numbers of some of them, ascending: ten, or all if so asked for.
    #[serde(rename = "SomeCorruptBlocks", deserialize_with = "null_as_default")]
    pub some: Vec<u32>,
}

/// The databases of a backup by name.
pub type DatabasesByNames = BTreeMap<String, Database>;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    pub oid: u32,
    /// By `schema.relation`.
    #[serde(
        rename = "tables_new",
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub tables: BTreeMap<String, Table>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    pub oid: u32,
    /// File number; 0 for the root of a partitioned table.
    #[serde(default, deserialize_with = "null_as_default")]
    pub relfilenode: u32,
    /// All descendants, partitions and heirs, by `schema.relation`.
    #[serde(
        rename = "subtables",
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub sub_tables: BTreeMap<String, Table>,
}

impl FileDescription {
    /// A file that went into an archive as it was.
    pub fn whole(mtime: Timestamp) -> Self {
        Self { mtime, ..Self::default() }
    }
}
