//! The documents of a whole Greenplum cluster: the sentinel of a backup and restore points.

use std::collections::BTreeMap;
use std::fmt;

use pgdata::{Lsn, SystemIdentifier, TimelineId};
use serde::de::{Error as _, Unexpected};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::go_json::null_as_default;
use crate::{BackupId, BackupName, ContentId, DbId, Error, Timestamp};

/// `basebackups_005/<backup>_backup_stop_sentinel.json`: a backup of the cluster exists if and only if this exists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterSentinel {
    /// Restore point up to which the segments must recover to agree: the backup's own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_point: Option<String>,
    /// In no particular order.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<SegmentMetadata>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_data: Option<Value>,
    pub start_time: Timestamp,
    pub finish_time: Timestamp,
    /// [`crate::DATE_FORMAT`].
    #[serde(
        rename = "date_fmt",
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub date_format: String,
    /// Of the coordinator.
    #[serde(default, deserialize_with = "null_as_default")]
    pub hostname: String,
    /// `greenplum (6.25.3)`; plain `6.19.3` in old backups.
    #[serde(default, deserialize_with = "null_as_default")]
    pub gp_version: String,
    /// `greenplum` or `cloudberry`; empty in old backups.
    #[serde(default, deserialize_with = "null_as_default")]
    pub gp_flavor: String,
    pub is_permanent: bool,
    /// Unknown on Greenplum 6.
    #[serde(default)]
    pub system_identifier: Option<SystemIdentifier>,
    /// The sizes are the sums of those in the segments' sentinels.
    #[serde(default, deserialize_with = "null_as_default")]
    pub uncompressed_size: i64,
    #[serde(default, deserialize_with = "null_as_default")]
    pub compressed_size: i64,
    #[serde(default, deserialize_with = "null_as_default")]
    pub data_catalog_size: i64,
    /// The backup this delta is based on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub increment_from: Option<BackupName>,
    /// The full backup at the root of the chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub increment_full_name: Option<BackupName>,
    /// Deltas from the full backup to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub increment_count: Option<u32>,
}

/// What a delta of the cluster is based on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncrementBase {
    pub from: BackupName,
    pub full_name: BackupName,
    pub count: u32,
}

impl ClusterSentinel {
    /// What the backup is based on; `None` for a full backup. An error if the document tells only a part.
    pub fn increment_base(&self) -> Result<Option<IncrementBase>, Error> {
        let Some(from) = self.increment_from.clone() else { return Ok(None) };
        let missing = |missing| Error::IncompleteDelta { document: "the cluster backup's sentinel", missing };
        let full_name = self.increment_full_name.clone().ok_or_else(|| missing("increment_full_name"))?;
        let count = self.increment_count.ok_or_else(|| missing("increment_count"))?;
        Ok(Some(IncrementBase { from, full_name, count }))
    }
}

/// Where a segment lived and which of its backups belongs to the cluster's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentMetadata {
    pub db_id: DbId,
    pub content_id: ContentId,
    /// `p`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub role: String,
    pub port: u16,
    pub hostname: String,
    pub data_dir: String,
    pub backup_id: BackupId,
    pub backup_name: BackupName,
    /// Position of the backup's restore point; empty text in the document if unknown.
    #[serde(default, with = "optional_lsn_text")]
    pub restore_point_lsn: Option<Lsn>,
}

/// `basebackups_005/<name>_restore_point.json`: positions at which all segments agree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RestorePoint {
    pub name: String,
    pub start_time: Timestamp,
    pub finish_time: Timestamp,
    #[serde(default, deserialize_with = "null_as_default")]
    pub hostname: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub gp_version: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub gp_flavor: String,
    #[serde(default)]
    pub system_identifier: Option<SystemIdentifier>,
    #[serde(default, serialize_with = "write_lsn_map", deserialize_with = "read_lsn_map")]
    pub lsn_by_segment: BTreeMap<ContentId, Lsn>,
    /// Always empty.
    #[serde(default, deserialize_with = "null_as_default")]
    pub storage_name: String,
    /// Timeline of the coordinator; 0 if unknown.
    #[serde(rename = "time_line", default = "unknown_timeline")]
    pub timeline: TimelineId,
    /// Left out by older releases.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        serialize_with = "write_content_map",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub timeline_by_segment: BTreeMap<ContentId, TimelineId>,
}

fn unknown_timeline() -> TimelineId {
    TimelineId(0)
}

/// An [`Lsn`] that stands as `"0/C000158"` in a document.
struct LsnText(Lsn);

impl Serialize for LsnText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for LsnText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map(Self)
            .map_err(|_| D::Error::invalid_value(Unexpected::Str(&text), &"a position such as 0/C000158"))
    }
}

mod optional_lsn_text {
    use super::{Deserialize, Deserializer, Lsn, LsnText, Serialize, Serializer};
    use serde::de::value::{Error, StrDeserializer};
    use serde::de::{Error as _, IntoDeserializer};

    pub fn serialize<S: Serializer>(lsn: &Option<Lsn>, serializer: S) -> Result<S::Ok, S::Error> {
        match lsn {
            Some(lsn) => LsnText(*lsn).serialize(serializer),
            None => serializer.serialize_str(""),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Lsn>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
        if text.is_empty() {
            return Ok(None);
        }
        let inner: StrDeserializer<'_, Error> = text.as_str().into_deserializer();
        LsnText::deserialize(inner).map(|LsnText(lsn)| Some(lsn)).map_err(D::Error::custom)
    }
}

fn write_lsn_map<S: Serializer>(map: &BTreeMap<ContentId, Lsn>, serializer: S) -> Result<S::Ok, S::Error> {
    let texts: BTreeMap<ContentId, LsnText> = map.iter().map(|(content, lsn)| (*content, LsnText(*lsn))).collect();
    write_content_map(&texts, serializer)
}

fn read_lsn_map<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<ContentId, Lsn>, D::Error> {
    let texts: BTreeMap<ContentId, LsnText> = null_as_default(deserializer)?;
    Ok(texts.into_iter().map(|(content, LsnText(lsn))| (content, lsn)).collect())
}

/// Writes the keys in the order of their text, as Go does: -1, 0, 1, 10, 2.
fn write_content_map<S, V>(map: &BTreeMap<ContentId, V>, serializer: S) -> Result<S::Ok, S::Error>
where
    S: Serializer,
    V: Serialize,
{
    let by_text: BTreeMap<String, &V> = map.iter().map(|(content, value)| (content.to_string(), value)).collect();
    let mut entries = serializer.serialize_map(Some(by_text.len()))?;
    for (content, value) in by_text {
        entries.serialize_entry(&content, value)?;
    }
    entries.end()
}

impl fmt::Display for SegmentMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "content {} on {}:{}", self.content_id, self.hostname, self.data_dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go_json;

    #[test]
    fn keys_of_maps_are_sorted_as_text() {
        let text = r#"{"name":"rp1","start_time":"2024-01-02T12:00:00.000001Z","finish_time":"2024-01-02T12:00:03Z","hostname":"mdw","gp_version":"greenplum (6.25.3)","gp_flavor":"greenplum","system_identifier":null,"lsn_by_segment":{"-1":"0/1C000100","0":"1/A","1":"0/0","10":"0/1","2":"0/2"},"storage_name":"","time_line":1,"timeline_by_segment":{"-1":1,"0":1,"1":1,"10":3,"2":1}}"#;
        let point: RestorePoint = go_json::from_slice("x", text.as_bytes()).unwrap();
        assert_eq!(point.lsn_by_segment[&ContentId(0)], Lsn(0x1_0000_000A));
        assert_eq!(point.timeline_by_segment[&ContentId(10)], TimelineId(3));
        assert_eq!(String::from_utf8(go_json::to_vec(&point)).unwrap(), text);
    }

    #[test]
    fn older_restore_points_lack_timelines() {
        let text = r#"{"name":"rp1","start_time":"2024-01-02T12:00:00Z","finish_time":"2024-01-02T12:00:03Z","lsn_by_segment":null}"#;
        let point: RestorePoint = go_json::from_slice("x", text.as_bytes()).unwrap();
        assert_eq!((point.timeline, point.lsn_by_segment.len()), (TimelineId(0), 0));
    }

    #[test]
    fn segments_with_dangerous_or_missing_values_are_refused() {
        let segment = r#"{"db_id":1,"content_id":-1,"role":"p","port":5432,"hostname":"mdw","data_dir":"/data/m","backup_id":"0d7b","backup_name":"base_1","restore_point_lsn":""}"#;
        let parsed: SegmentMetadata = serde_json::from_str(segment).unwrap();
        assert_eq!(parsed.restore_point_lsn, None);
        assert_eq!(serde_json::to_string(&parsed).unwrap(), segment);
        for (old, new) in [("base_1", "../base_1"), ("5432", "65536"), ("\"\"}", "\"0/x\"}"), ("\"hostname\"", "\"h\"")]
        {
            let wrong = segment.replace(old, new);
            assert!(serde_json::from_str::<SegmentMetadata>(&wrong).is_err(), "{wrong}");
        }
    }
}
