//! `damson_005/deletes/<id>.json`: a deletion that has begun, so that the next one finishes it if it is killed. WAL-G does not
//! look at it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::go_json::{is_default, null_as_default};
use crate::{BackupName, ContentId, Timestamp};

/// The document is written before the first object is removed, and removed after the last. It is a hint and no order: a backup
/// whose sentinel still exists was not deleted, whatever stands here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// `retain FULL 3`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub what: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub begun: Timestamp,
    /// Backups of the cluster, or of a single server, that go.
    #[serde(default, deserialize_with = "null_as_default")]
    pub backups: Vec<BackupName>,
    /// Backups of the segments that go, by content id.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "is_default")]
    pub segments: BTreeMap<ContentId, Vec<BackupName>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go_json;

    #[test]
    fn keys_in_order() {
        let text = r#"{"what":"retain FULL 3","begun":"2026-11-21T08:28:23Z","backups":["backup_1"],"segments":{"-1":["base_1"],"0":[]}}"#;
        let deletion: Deletion = go_json::from_slice("x", text.as_bytes()).unwrap();
        assert_eq!(deletion.segments[&ContentId(-1)], [BackupName::new("base_1").unwrap()]);
        assert_eq!(String::from_utf8(go_json::to_vec(&deletion)).unwrap(), text);
        let bare = Deletion { segments: BTreeMap::new(), ..deletion };
        let text = r#"{"what":"retain FULL 3","begun":"2026-11-21T08:28:23Z","backups":["backup_1"]}"#;
        assert_eq!(String::from_utf8(go_json::to_vec(&bare)).unwrap(), text);
    }
}
