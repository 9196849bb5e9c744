//! Stored trees that WAL-G wrote: the lists are those that it printed.

use rig::{Workplace, golden};

const EXPECTED: [(&[&str], &str); 5] = [
    (&["backup-list", "--content-id=0"], include_str!("expected/backup-list.txt")),
    (&["backup-list", "--content-id=0", "--detail"], include_str!("expected/backup-list-detail.txt")),
    (&["wal-show", "--content-id=-1"], include_str!("expected/wal-show.txt")),
    (
        &["wal-show", "--content-id=0", "--detailed-json", "--without-backups"],
        include_str!("expected/wal-show-json.txt"),
    ),
    (
        &["wal-verify", "integrity", "timeline", "--lsn", "0/30000000", "--timeline", "1", "--content-id=0"],
        include_str!("expected/wal-verify.txt"),
    ),
];

#[test]
fn op_024_lists_of_a_segment_are_wal_gs() {
    let workplace = Workplace::new("seg-lists");
    let store = golden::greenplum6(&workplace.scratch);
    workplace.use_store(&store, &[]);
    // Archived after the lists were made.
    for later in ["seg-1/wal_005/00000001000000000000000D.zst", "seg0/wal_005/00000001000000000000000C.zst"] {
        std::fs::remove_file(store.join("segments_005").join(later)).unwrap();
    }
    for (args, expected) in EXPECTED {
        let output = workplace.damson(&[&["seg"], args].concat()).ok();
        assert_eq!(output.stdout, expected, "{args:?}");
    }
}

#[test]
fn pg_055_056_an_empty_storage() {
    let workplace = Workplace::new("pg-empty");
    workplace.use_new_store("empty", &[]);
    assert_eq!(workplace.damson_pg(&["backup-list"]).ok().stdout, "");
    assert_eq!(workplace.damson_pg(&["backup-list", "--json", "--detail"]).ok().stdout, "[]\n");
    assert_eq!(workplace.damson_pg(&["wal-show", "--detailed-json"]).ok().stdout, "[]");
    let table = workplace.damson_pg(&["wal-show"]).ok().stdout;
    assert!(table.starts_with("+-----+") && table.lines().count() == 4, "{table}");
}

/// Backups of a single server: every form of the list, and the archive with its backups.
#[test]
fn pg_055_lists_of_a_single_server() {
    let workplace = Workplace::new("pg-lists");
    let fixture = golden::postgres15(&workplace.scratch, "pg15-lz4");
    workplace.use_store(&fixture.join("storage"), &[]);
    for form in [&[][..], &["--pretty"], &["--json"], &["--detail"], &["--detail", "--json", "--pretty"]] {
        let listed = workplace.damson_pg(&[&["backup-list"], form].concat()).ok().stdout;
        for name in ["base_000000010000000000000003", "base_000000010000000000000005_D_000000010000000000000003"] {
            assert!(listed.contains(name), "{listed}");
        }
    }
    let shown = workplace.damson_pg(&["wal-show", "--detailed-json"]).ok().stdout;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown[0]["status"], shown[0]["backups"].as_array().unwrap().len()), (&"OK".into(), 2));
    let store = fixture.join("storage/basebackups_005/base_000000010000000000000003/metadata.json");
    std::fs::write(store, "{").unwrap();
    let broken = workplace.damson_pg(&["backup-list", "--detail"]);
    assert!(broken.stdout.contains("base_000000010000000000000005_D_"), "{}", broken.report());
    broken.fails(1, &["metadata.json is damaged", "1 backups are left out"]);
}
