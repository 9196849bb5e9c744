//! The two small documents of a segment's (or a PostgreSQL server's) backup: its sentinel and its metadata.json.

use std::collections::BTreeMap;

use pgdata::{Lsn, SystemIdentifier};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::files::FileDescription;
use crate::go_json::{is_default, null_as_default};
use crate::{BackupName, Error, TablespaceSpec, Timestamp};

/// `<backup>_backup_stop_sentinel.json`, version 2: a backup exists if and only if this document exists. Never changed
/// afterwards. Documents of older releases are read too; what they lack has its default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SegmentSentinel {
    /// Where the backup begins.
    #[serde(rename = "LSN")]
    pub start_lsn: Option<Lsn>,
    /// Where the backup that this delta is based on begins.
    #[serde(rename = "DeltaLSN", skip_serializing_if = "Option::is_none")]
    pub delta_lsn: Option<Lsn>,
    /// Name of the backup this delta is based on; its presence makes the backup a delta. Empty in a catchup.
    #[serde(rename = "DeltaFrom", skip_serializing_if = "Option::is_none")]
    pub delta_from: Option<String>,
    /// Name of the full backup at the root of the chain.
    #[serde(rename = "DeltaFullName", skip_serializing_if = "Option::is_none")]
    pub delta_full_name: Option<String>,
    /// Deltas from the full backup to this one.
    #[serde(rename = "DeltaCount", skip_serializing_if = "Option::is_none")]
    pub delta_count: Option<u32>,
    /// `server_version_num`.
    #[serde(rename = "PgVersion", deserialize_with = "null_as_default")]
    pub pg_version: u32,
    /// Up to where the log is needed.
    #[serde(rename = "FinishLSN")]
    pub finish_lsn: Option<Lsn>,
    #[serde(rename = "SystemIdentifier", skip_serializing_if = "Option::is_none")]
    pub system_identifier: Option<SystemIdentifier>,
    /// Bytes of file content in the archives.
    #[serde(rename = "UncompressedSize", deserialize_with = "null_as_default")]
    pub uncompressed_size: i64,
    /// Bytes of the archives as stored.
    #[serde(rename = "CompressedSize", deserialize_with = "null_as_default")]
    pub compressed_size: i64,
    /// Sum of the sizes of everything in the data directory.
    #[serde(rename = "DataCatalogSize", deserialize_with = "null_as_default", skip_serializing_if = "is_default")]
    pub data_catalog_size: i64,
    #[serde(rename = "Spec", alias = "spec", skip_serializing_if = "Option::is_none")]
    pub tablespaces: Option<TablespaceSpec>,
    #[serde(rename = "UserData", skip_serializing_if = "Option::is_none")]
    pub user_data: Option<Value>,
    #[serde(
        rename = "FilesMetadataDisabled",
        deserialize_with = "null_as_default",
        skip_serializing_if = "is_default"
    )]
    pub files_metadata_disabled: bool,
    /// OrioleDB's check point number.
    #[serde(rename = "ChkpNum")]
    pub checkpoint_number: Option<u32>,
    #[serde(rename = "DeltaChkpNum", skip_serializing_if = "Option::is_none")]
    pub delta_checkpoint_number: Option<u32>,
    /// 2; 0 in documents that have no version.
    #[serde(rename = "Version", deserialize_with = "null_as_default")]
    pub version: u32,
    #[serde(rename = "StartTime", deserialize_with = "null_as_default")]
    pub start_time: Timestamp,
    #[serde(rename = "FinishTime", deserialize_with = "null_as_default")]
    pub finish_time: Timestamp,
    /// [`crate::DATE_FORMAT`].
    #[serde(rename = "DateFmt", deserialize_with = "null_as_default")]
    pub date_format: String,
    #[serde(rename = "Hostname", deserialize_with = "null_as_default")]
    pub hostname: String,
    #[serde(rename = "DataDir", deserialize_with = "null_as_default")]
    pub data_dir: String,
    /// As it was when the backup was made; metadata.json has the truth.
    #[serde(rename = "IsPermanent", deserialize_with = "null_as_default")]
    pub is_permanent: bool,
    /// [`Self::delta_lsn`] in documents from before version 1.
    #[serde(rename = "DeltaFromLSN", skip_serializing_if = "Option::is_none")]
    pub legacy_delta_lsn: Option<Lsn>,
    /// The file list of backups from before there was a files_metadata.json.
    #[serde(rename = "Files", deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub legacy_files: BTreeMap<String, FileDescription>,
    #[serde(rename = "TarFileSets", deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub legacy_tar_file_sets: BTreeMap<String, Vec<String>>,
}

/// What a delta is based on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeltaBase {
    pub from: BackupName,
    pub full_name: BackupName,
    /// Deltas from the full backup to this one, at least 1.
    pub count: u32,
    /// Where the base backup begins.
    pub lsn: Lsn,
}

impl SegmentSentinel {
    /// Version of the documents this release writes.
    pub const VERSION: u32 = 2;

    /// What the backup is based on; `None` for a full backup. An error if the document tells only a part.
    pub fn delta_base(&self) -> Result<Option<DeltaBase>, Error> {
        let Some(from) = &self.delta_from else { return Ok(None) };
        let missing = |missing| Error::IncompleteDelta { document: "the backup's sentinel", missing };
        let lsn = self.delta_lsn.or(self.legacy_delta_lsn);
        Ok(Some(DeltaBase {
            from: BackupName::new(from)?,
            full_name: BackupName::new(self.delta_full_name.as_ref().ok_or_else(|| missing("DeltaFullName"))?)?,
            count: self.delta_count.ok_or_else(|| missing("DeltaCount"))?,
            lsn: lsn.ok_or_else(|| missing("DeltaLSN"))?,
        }))
    }
}

/// `<backup>/metadata.json`: what lists and deletions go by. The only document of a backup that is ever rewritten.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExtendedMetadata {
    pub start_time: Timestamp,
    pub finish_time: Timestamp,
    #[serde(rename = "date_fmt", default, deserialize_with = "null_as_default")]
    pub date_format: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub hostname: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub data_dir: String,
    /// `server_version_num`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub pg_version: u32,
    pub start_lsn: Lsn,
    pub finish_lsn: Lsn,
    /// Whether deletions must spare the backup.
    pub is_permanent: bool,
    #[serde(default)]
    pub system_identifier: Option<SystemIdentifier>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub uncompressed_size: i64,
    #[serde(default, deserialize_with = "null_as_default")]
    pub compressed_size: i64,
    /// `{"id":"..."}` in the backup of a Greenplum segment, see [`crate::BackupId`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_data: Option<Value>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go_json;

    /// The examples of the format document, section 2.1 and 2.2.
    #[test]
    fn escaped_user_data_comes_back() {
        let text = r#"{"LSN":33554472,"PgVersion":150020,"FinishLSN":33554688,"SystemIdentifier":7710534079969413511,"UncompressedSize":32473075,"CompressedSize":6656547,"DataCatalogSize":32500277,"Spec":{"16384":{"loc":"/mnt/home/ts1","link":"pg_tblspc/16384"},"base_prefix":"/mnt/home/d1","tablespaces":["16384"]},"UserData":{"x":[3],"y":"a\u003cb\u003e\u0026c"},"FilesMetadataDisabled":true,"ChkpNum":null,"Version":2,"StartTime":"2026-11-21T08:10:13.400005Z","FinishTime":"2026-11-21T08:10:14.719516Z","DateFmt":"%Y-%m-%dT%H:%M:%S.%fZ","Hostname":"vm","DataDir":"/mnt/home/d1","IsPermanent":false}"#;
        let sentinel: SegmentSentinel = go_json::from_slice("x", text.as_bytes()).unwrap();
        assert!(sentinel.delta_base().unwrap().is_none());
        assert_eq!(String::from_utf8(go_json::to_vec(&sentinel)).unwrap(), text);
    }

    #[test]
    fn documents_of_older_releases() {
        let text = r#"{"LSN":null,"DeltaFromLSN":5,"DeltaFrom":"base_b","DeltaFullName":"base_a","DeltaCount":1,
            "PgVersion":90600,"FinishLSN":9,"UserData":null,"spec":{"base_prefix":"/d","tablespaces":[]},
            "Files":{"/a":{"IsIncremented":true,"IsSkipped":false,"MTime":"2018-01-01T00:00:00Z"}},
            "TarFileSets":{"part_1.tar.lz4":["/a"]},"Unknown":[1]}"#;
        let sentinel: SegmentSentinel = go_json::from_slice("x", text.as_bytes()).unwrap();
        assert_eq!(sentinel.version, 0);
        assert_eq!(sentinel.delta_base().unwrap().unwrap().lsn, Lsn(5));
        assert!(sentinel.legacy_files["/a"].is_incremented);
        assert_eq!(sentinel.tablespaces.unwrap().base_prefix, "/d");
        assert_eq!(sentinel.user_data, None);
    }

    #[test]
    fn half_a_delta_is_an_error() {
        let mut sentinel = SegmentSentinel { delta_from: Some("base_a".into()), ..Default::default() };
        assert!(matches!(sentinel.delta_base(), Err(Error::IncompleteDelta { missing: "DeltaFullName", .. })));
        sentinel.delta_full_name = Some("base_a".into());
        sentinel.delta_count = Some(1);
        assert!(matches!(sentinel.delta_base(), Err(Error::IncompleteDelta { missing: "DeltaLSN", .. })));
        sentinel.delta_lsn = Some(Lsn(1));
        assert_eq!(sentinel.delta_base().unwrap().unwrap().count, 1);
        sentinel.delta_from = Some("../x".into());
        assert!(matches!(sentinel.delta_base(), Err(Error::Name(_))));
    }
}
