//! `wal-verify` beside running servers.

use rig::{Server, Stand, StandSpec, sql};
use serde_json::Value;

use crate::stands;

#[test]
fn pg_057_060_a_hole_in_the_archive_is_found() {
    let stand = stands::small("seg-verify", &StandSpec::default());
    stand.damson(&["backup-push"]).ok();
    let server = stand.cluster.server(0);
    for number in 0..4 {
        sql(server, &format!("create table t{number}(a int)"));
        server.archive_wal();
    }
    let report = verify(&stand, server, &[]);
    assert_eq!((&report["integrity"]["status"], &report["timeline"]["status"]), (&"OK".into(), &"OK".into()));
    assert_eq!(report["integrity"]["details"].as_array().unwrap().len(), 1, "{report}");
    let text = seg(&stand, server, &["wal-verify", "integrity", "timeline"]).ok().stdout;
    assert!(text.starts_with("[wal-verify] integrity check status: OK\n"), "{text}");

    let archive = stand.store_dir().join("segments_005/seg0/wal_005");
    let names = std::fs::read_dir(&archive).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.find('.') == Some(24)).collect();
    names.sort();
    std::fs::remove_file(archive.join(&names[names.len() - 3])).unwrap();
    assert_eq!(verify(&stand, server, &[])["integrity"]["status"], "WARNING");
    let patience = ["--walg-upload-concurrency", "1"];
    assert_eq!(verify(&stand, server, &patience)["integrity"]["status"], "FAILURE");
    let strict = [&["wal-verify", "integrity", "--exit-code"][..], &patience].concat();
    seg(&stand, server, &strict).fails(1, &["cannot be relied on"]);
    let shown = stand.damson(&["seg", "wal-show", "--content-id=0"]).ok().stdout;
    assert!(shown.contains("| LOST_SEGMENTS |"), "{shown}");
    seg(&stand, server, &["wal-verify"]).fails(1, &["at least one of the following checks"]);
    seg(&stand, server, &["wal-verify", "foo"]).fails(1, &["invalid check specified: foo"]);
    seg(&stand, server, &["wal-verify", "timeline", "--lsn", "0/1"]).fails(1, &["in conjunction with"]);
}

fn verify(stand: &Stand, server: &Server, more: &[&str]) -> Value {
    let output = seg(stand, server, &[&["wal-verify", "integrity", "timeline", "--json"], more].concat()).ok();
    serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", output.report()))
}

/// A `seg` command that speaks to the segment's own server.
fn seg(stand: &Stand, server: &Server, args: &[&str]) -> rig::Output {
    let (host, port) = (server.address.to_string(), server.port.to_string());
    let place = ["--pghost", &host, "--pgport", &port, "--content-id", "0"];
    stand.damson(&[&["seg"], args, &place].concat())
}
