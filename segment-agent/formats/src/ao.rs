//! `<backup>/ao_files_metadata.json`: the append-optimized files of a backup that lie in `aosegments`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::go_json::{is_default, null_as_default};
use crate::{ContentHash, Timestamp};

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
    /// Bytes of the whole restored file, also beyond [`Self::eof`]. This key and the next three are Damson's own; WAL-G
    /// neither writes nor reads them.
    #[serde(rename = "Size", default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Of the whole restored file, not of an increment.
    #[serde(rename = "Blake3", default, skip_serializing_if = "Option::is_none")]
    pub blake3: Option<ContentHash>,
    /// Number of the file in its file system when it was last hashed.
    #[serde(rename = "Inode", default, skip_serializing_if = "Option::is_none")]
    pub inode: Option<u64>,
    /// Timeline of the server when the file was last hashed.
    #[serde(rename = "Timeline", default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<u32>,
}

/// How a table is stored: the letter of `pg_class.relstorage` as a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StorageType(pub u8);

impl StorageType {
    pub const ROW: Self = Self(b'a');
    pub const COLUMN: Self = Self(b'c');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go_json;

    #[test]
    fn keys_of_our_own_come_last_and_only_when_known() {
        let walg = r#"{"Files":{"/base/1/2.1":{"StoragePath":"1663_1_x_2_1_3_5_aoseg","IsSkipped":false,"MTime":"2026-11-21T08:10:13Z","StorageType":97,"EOF":8,"ModCount":3,"FileMode":384,"InitialUploadTS":"2026-11-21T08:10:14Z","Checksum":"99aa06d3014798d86001c324468d497f"}}}"#;
        let mut metadata: AoFilesMetadata = go_json::from_slice("x", walg.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(go_json::to_vec(&metadata)).unwrap(), walg);
        let file = metadata.files.get_mut("/base/1/2.1").unwrap();
        file.size = Some(9);
        file.blake3 = Some(ContentHash([0; 32]));
        file.inode = Some(7);
        file.timeline = Some(1);
        let text = String::from_utf8(go_json::to_vec(&metadata)).unwrap();
        let ours = format!(r#","Size":9,"Blake3":"{}","Inode":7,"Timeline":1}}}}}}"#, "0".repeat(64));
        assert!(text.ends_with(&ours), "{text}");
        assert_eq!(go_json::from_slice::<AoFilesMetadata>("x", text.as_bytes()).unwrap(), metadata);
    }
}
