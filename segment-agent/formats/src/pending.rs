//! `damson_005/points/<name>.json`: a restore point that is being made. WAL-G does not look at it.
//!
//! Recovery ends at the first record with a point's name, so a name may be given to the servers once only. This document says
//! that it was, until the point's own document takes over.

use serde::{Deserialize, Serialize};

use crate::cluster::RestorePoint;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PendingPoint {
    /// What the point's document will be, once it is known to stand in the log of every segment; what is left is to archive
    /// that log. Without it the servers were asked for the point and nobody knows what came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<RestorePoint>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go_json;

    #[test]
    fn both_forms_come_back() {
        assert_eq!(go_json::to_vec(&PendingPoint::default()), b"{}");
        let text = r#"{"point":{"name":"rp1","start_time":"2024-01-02T12:00:00Z","finish_time":"2024-01-02T12:00:03Z","hostname":"mdw","gp_version":"greenplum (6.25.3)","gp_flavor":"greenplum","system_identifier":null,"lsn_by_segment":{"-1":"0/1C000100"},"storage_name":"","time_line":1,"timeline_by_segment":{"-1":1}}}"#;
        let pending: PendingPoint = go_json::from_slice("x", text.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(go_json::to_vec(&pending)).unwrap(), text);
    }
}
