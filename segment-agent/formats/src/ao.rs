//! `<backup>/ao_files_metadata.json`: the append-optimized files of a backup that lie in `aosegments`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::go_json::{is_default, null_as_default};

/// The document: always written, also without files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AoFilesMetadata {
    /// By path relative to the data directory, with a leading slash.
    #[serde(rename = "Files", default, deserialize_with = "null_as_default")]
    pub files: BTreeMap<String, AoFile>,
}

/// One segment file of an append-optimized table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AoFile {
    /// Name below `aosegments`.
    #[serde(rename = "StoragePath")]
    pub storage_path: String,
    /// The object was there from an older backup.
    #[serde(rename = "IsSkipped", default, deserialize_with = "null_as_default")]
    pub is_skipped: bool,
    /// The object holds an increment, also when it was there from an older backup.
    #[serde(
        rename = "IsIncremented",
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "is_default"
    )]
    pub is_incremented: bool,
    #[serde(rename = "MTime", default, deserialize_with = "null_as_default")]
    pub mtime: Timestamp,
    #[serde(rename = "StorageType", default, deserialize_with = "null_as_default")]
    pub storage_type: StorageType,
    /// Length of the valid content, from the catalog; the file may be longer.
    #[serde(rename = "EOF")]
    pub eof: i64,
    /// Number of changes, from the catalog.
    #[serde(rename = "ModCount", default, deserialize_with = "null_as_default", skip_serializing_if = "is_default")]
    pub mod_count: i64,
    /// Never written so far.
    #[serde(
        rename = "Compressor",
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub compressor: String,
    /// Permission bits.
    #[serde(rename = "FileMode", default, deserialize_with = "null_as_default")]
    pub file_mode: u32,
    /// When the object (of an increment: the object below it) was first stored.
    #[serde(rename = "InitialUploadTS", default, deserialize_with = "null_as_default")]
    pub initial_upload_time: Timestamp,
    /// XXH3-128 of the first [`Self::eof`] bytes, 32 lower-case hexadecimal digits; empty if unknown.
    #[serde(
        rename = "Checksum",
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub checksum: String,
}

/// How a table is stored: the letter of `pg_class.relstorage` as a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StorageType(pub u8);

impl StorageType {
    pub const ROW: Self = Self(b'a');
    pub const COLUMN: Self = Self(b'c');
}
