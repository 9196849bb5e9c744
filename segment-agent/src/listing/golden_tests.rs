//! `expected/` holds what WAL-G 3.0.9 printed on stdout about a PostgreSQL server's backups.

use std::io;

use chrono::{DateTime, Utc};
use formats::go_json;
use serde_json::Value;

use super::{Layout, backup_details, backups};
use crate::backups::{Backup, BackupDetail};

fn text(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The backups that the expected texts speak of.
pub(crate) fn known() -> Vec<BackupDetail> {
    let documents: Vec<Value> = serde_json::from_str(include_str!("expected/details-json.txt")).unwrap();
    let detail = |document: Value| BackupDetail {
        name: document["backup_name"].as_str().unwrap().parse().unwrap(),
        modified: document["time"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap(),
        metadata: go_json::from_slice("x", document.to_string().as_bytes()).unwrap(),
    };
    documents.into_iter().map(detail).collect()
}

#[test]
fn backup_list() {
    let known: Vec<_> =
        known().into_iter().map(|backup| Backup { name: backup.name, modified: backup.modified }).collect();
    let list = |layout| text(|out| backups(&known, layout, out));
    assert_eq!(list(Layout::Plain), include_str!("expected/backups.txt"));
    assert_eq!(list(Layout::Pretty), include_str!("expected/backups-pretty.txt"));
    assert_eq!(list(Layout::Json), include_str!("expected/backups-json.txt"));
    assert_eq!(list(Layout::PrettyJson), include_str!("expected/backups-json-pretty.txt"));
}

#[test]
fn backup_list_detail() {
    let list = |layout| text(|out| backup_details(&known(), layout, out));
    assert_eq!(list(Layout::Plain), include_str!("expected/details.txt"));
    assert_eq!(list(Layout::Pretty), include_str!("expected/details-pretty.txt"));
    assert_eq!(list(Layout::Json), include_str!("expected/details-json.txt"));
    assert_eq!(list(Layout::PrettyJson), include_str!("expected/details-json-pretty.txt"));
}

#[test]
fn an_empty_storage_is_an_empty_list() {
    for (pretty, json, expected) in [(false, false, ""), (true, false, ""), (false, true, "[]\n"), (true, true, "[]\n")]
    {
        let layout = Layout::from_flags(pretty, json);
        assert_eq!(text(|out| backups(&[], layout, out)), expected);
        assert_eq!(text(|out| backup_details(&[], layout, out)), expected);
    }
}
