//! `<backup>/pax_files_metadata.json`: the PAX files of a backup (Cloudberry) that lie in `paxfiles`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::go_json::{is_default, null_as_default};
use crate::{ContentHash, Timestamp};

/// The document: always written, also without files and for servers without PAX.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaxFilesMetadata {
    /// By path relative to the data directory, with a leading slash.
    #[serde(rename = "Files", default, deserialize_with = "null_as_default")]
    pub files: BTreeMap<String, PaxFile>,
}

/// One file of a PAX table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaxFile {
    /// Name below `paxfiles`.
    #[serde(rename = "StoragePath")]
    pub storage_path: String,
    /// The object was there from an older backup.
    #[serde(rename = "IsSkipped", default, deserialize_with = "null_as_default", skip_serializing_if = "is_default")]
    pub is_skipped: bool,
    #[serde(rename = "MTime", default, deserialize_with = "null_as_default")]
    pub mtime: Timestamp,
    /// MD5 of the quoted `schema.table`, hexadecimal.
    #[serde(rename = "RelNameMd5", default, deserialize_with = "null_as_default")]
    pub relation_name_md5: String,
    #[serde(rename = "Kind", default, deserialize_with = "null_as_default")]
    pub kind: PaxKind,
    #[serde(rename = "BlockID", default, deserialize_with = "null_as_default", skip_serializing_if = "is_default")]
    pub block_id: i64,
    /// Permission bits.
    #[serde(rename = "FileMode", default, deserialize_with = "null_as_default")]
    pub file_mode: u32,
    /// When the object was first stored.
    #[serde(rename = "InitialUploadTS", default, deserialize_with = "null_as_default")]
    pub initial_upload_time: Timestamp,
    /// Bytes of the file. This key and the next are Damson's own; WAL-G neither writes nor reads them.
    #[serde(rename = "Size", default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Of the whole file.
    #[serde(rename = "Blake3", default, skip_serializing_if = "Option::is_none")]
    pub blake3: Option<ContentHash>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PaxKind {
    #[default]
    Data,
    Toast,
    Visimap,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go_json;

    #[test]
    fn keys_in_order() {
        let text = r#"{"Files":{"/base/1/2_pax/0":{"StoragePath":"1663_1_x_2_0_5_pax","MTime":"2026-11-21T08:10:13Z","RelNameMd5":"x","Kind":"data","FileMode":384,"InitialUploadTS":"2026-11-21T08:10:14Z"},"/base/1/2_pax/1.toast":{"StoragePath":"1663_1_x_2_1_toast_5_pax","IsSkipped":true,"MTime":"2026-11-21T08:10:13Z","RelNameMd5":"x","Kind":"toast","BlockID":1,"FileMode":384,"InitialUploadTS":"2026-11-21T08:10:14Z"}}}"#;
        let metadata: PaxFilesMetadata = go_json::from_slice("x", text.as_bytes()).unwrap();
        assert_eq!(metadata.files["/base/1/2_pax/1.toast"].kind, PaxKind::Toast);
        assert_eq!(String::from_utf8(go_json::to_vec(&metadata)).unwrap(), text);
    }
}
