//! `expected/` holds what WAL-G 3.0.9 printed on stdout about the golden storage of Greenplum 6.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use formats::Timestamp;
use formats::proof::{Proof, ProofKind};
use futures::executor::block_on;
use serde_json::Value;
use storage::Store;

use super::{Layout, Proofs, backup_details, backups, restore_points};
use crate::catalog::{Backups, RestorePoints, golden};

fn text(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn unproved() -> Proofs {
    Proofs { newest: BTreeMap::new(), now: Timestamp::default() }
}

/// What WAL-G prints stands before; what it does not know stands at the end.
#[test]
fn proofs_stand_at_the_end() {
    let (_directory, store) = golden::store();
    let found = block_on(block_on(Backups::load(&store)).unwrap().details()).found;
    let proof = Proof {
        backup: golden::FULL.parse().unwrap(),
        kind: ProofKind::Drill,
        at: "2026-11-22T00:00:00Z".parse().unwrap(),
        ok: true,
        duration_seconds: 61.5,
        bytes: 0,
        objects: 0,
        findings: Vec::new(),
        more_findings: 0,
        affected_backups: Vec::new(),
        affected_restore_points: Vec::new(),
    };
    let newest = BTreeMap::from([(proof.backup.clone(), proof)]);
    let proofs = Proofs { newest, now: "2026-11-22T02:59:00Z".parse().unwrap() };
    let list = |layout| text(|out| backup_details(&found, &proofs, layout, out));
    let plain = list(Layout::Plain);
    let lines: Vec<&str> = plain.lines().collect();
    assert!(lines[0].ends_with("is_permanent proved               proof    proof_age"), "{plain}");
    assert!(lines[1].ends_with(" 2026-11-22T00:00:00Z drill:ok 2h"), "{plain}");
    assert!(lines[2].ends_with(" -                    -        -"), "{plain}");
    let json = list(Layout::Json);
    let key = r#","last_proof":{"kind":"drill","at":"2026-11-22T00:00:00Z","age_seconds":10740,"ok":true,"duration_seconds":61.5}}"#;
    assert_eq!(json.replacen(key, "}", 1), include_str!("expected/details-json.txt"));
    assert!(list(Layout::Pretty).contains("| PROOF AGE |"));
}

#[test]
fn backup_list() {
    let (_directory, store) = golden::store();
    let catalog = block_on(Backups::load(&store)).unwrap();
    let list = |layout| text(|out| backups(catalog.entries(), layout, out));
    assert_eq!(list(Layout::Plain), include_str!("expected/backups.txt"));
    assert_eq!(list(Layout::Pretty), include_str!("expected/backups-pretty.txt"));
    assert_eq!(list(Layout::Json), include_str!("expected/backups-json.txt"));
    assert_eq!(list(Layout::PrettyJson), include_str!("expected/backups-json-pretty.txt"));
}

#[test]
fn backup_list_detail() {
    let (_directory, store) = golden::store();
    let mut reading = block_on(block_on(Backups::load(&store)).unwrap().details());
    reading.found.reverse();
    let list = |layout| text(|out| backup_details(&reading.found, &unproved(), layout, out));
    assert_eq!(list(Layout::Plain), include_str!("expected/details.txt"));
    assert_eq!(list(Layout::Pretty), include_str!("expected/details-pretty.txt"));
    assert_eq!(list(Layout::Json), include_str!("expected/details-json.txt"));
    assert_eq!(list(Layout::PrettyJson), include_str!("expected/details-json-pretty.txt"));
}

#[test]
fn restore_point_list() {
    let (directory, store) = golden::store();
    // The archive has whole seconds only.
    let documents: Vec<Value> = serde_json::from_str(include_str!("expected/restore-points-json.txt")).unwrap();
    for document in &documents {
        let name = document["backup_name"].as_str().unwrap();
        let modified: DateTime<Utc> = document["time"].as_str().unwrap().parse().unwrap();
        let path = directory.path().join(format!("store/basebackups_005/{name}_restore_point.json"));
        File::options().write(true).open(path).unwrap().set_modified(SystemTime::from(modified)).unwrap();
    }
    let catalog = block_on(RestorePoints::load(&store)).unwrap();
    let list = |layout| text(|out| restore_points(catalog.entries(), layout, out));
    assert_eq!(list(Layout::Plain), include_str!("expected/restore-points.txt"));
    assert_eq!(list(Layout::Pretty), include_str!("expected/restore-points-pretty.txt"));
    assert_eq!(list(Layout::Json), include_str!("expected/restore-points-json.txt"));
    assert_eq!(list(Layout::PrettyJson), include_str!("expected/restore-points-json-pretty.txt"));
}

#[test]
fn an_empty_storage_is_an_empty_list() {
    let store = Store::memory();
    let catalog = block_on(Backups::load(&store)).unwrap();
    let details = block_on(catalog.details()).found;
    let points = block_on(RestorePoints::load(&store)).unwrap();
    for (pretty, json, expected) in [(false, false, ""), (true, false, ""), (false, true, "[]\n"), (true, true, "[]\n")]
    {
        let layout = Layout::from_flags(pretty, json);
        assert_eq!(text(|out| backups(catalog.entries(), layout, out)), expected);
        assert_eq!(text(|out| backup_details(&details, &unproved(), layout, out)), expected);
        assert_eq!(text(|out| restore_points(points.entries(), layout, out)), expected);
    }
}

/// Keys of user data are sorted, absent values are left out, backups of one finish time are sorted by name, and a name may hold the name of a WAL file.
#[test]
fn rare_values() {
    let sentinel = r#"{"user_data":{"z":1.0,"a":"<b>","n":[1e21,{}]},"start_time":"0001-01-01T00:00:00Z","finish_time":"2026-01-01T10:00:00.5+03:00","gp_version":"6.19.3","is_permanent":true,"system_identifier":7054000000000000001}"#;
    let store = Store::memory();
    block_on(store.put("basebackups_005/b1_backup_stop_sentinel.json", sentinel.as_bytes().into())).unwrap();
    let details = block_on(block_on(Backups::load(&store)).unwrap().details()).found;
    let json = r#"[{"Name":"b1","user_data":{"a":"\u003cb\u003e","n":[1e+21,{}],"z":1},"start_time":"0001-01-01T00:00:00Z","finish_time":"2026-01-01T10:00:00.5+03:00","hostname":"","gp_version":"6.19.3","gp_flavor":"","is_permanent":true,"system_identifier":7054000000000000001,"uncompressed_size":0,"compressed_size":0,"data_catalog_size":0}]"#;
    assert_eq!(text(|out| backup_details(&details, &unproved(), Layout::Json, out)), format!("{json}\n"));
    let plain = "name restore_point start_time finish_time               hostname gp_version is_permanent\n\
                 b1   -             -          2026-01-01T10:00:00+03:00          6.19.3     true\n";
    assert_eq!(text(|out| backup_details(&details, &unproved(), Layout::Plain, out)), plain);

    block_on(store.put("basebackups_005/a2_backup_stop_sentinel.json", sentinel.as_bytes().into())).unwrap();
    let details = block_on(block_on(Backups::load(&store)).unwrap().details()).found;
    let json = text(|out| backup_details(&details, &unproved(), Layout::Json, out));
    assert!(json.find("\"a2\"") < json.find("\"b1\""), "{json}");

    let key = "basebackups_005/at_000000010000000000000003_restore_point.json";
    block_on(store.put(key, bytes::Bytes::new())).unwrap();
    let points = block_on(RestorePoints::load(&store)).unwrap();
    let list = text(|out| restore_points(points.entries(), Layout::Json, out));
    assert!(list.contains(r#""wal_file_name":"000000010000000000000003""#), "{list}");
}
