//! `check-ao-aocs-length`: file by file, in every database and tablespace, and in backups.

use rig::{AoKind, AoTable, Server, StandSpec, User, sql};

use crate::stands;

/// A file that is too long hides none that is too short; the longer one is no problem.
#[test]
fn every_file_counts_by_itself() {
    let settings = vec![("WALG_GP_AOSEG_SIZE_THRESHOLD".to_owned(), "0".to_owned())];
    let stand = stands::small("ao-lengths", &StandSpec { settings, ..StandSpec::default() });
    let server = stand.cluster.server(0);
    sql(server, "create database \"Other db\"");
    let elsewhere = stand.scratch.dir("elsewhere");
    sql(server, &format!("create tablespace ts location '{}'", elsewhere.display()));
    let rows = AoTable::create(server, "postgres", "rows_t", AoKind::Row);
    let columns = AoTable::create(server, "Other db", "columns_t", AoKind::Column);
    let moved = AoTable::create(server, "postgres", "moved_t", AoKind::Row);
    sql(server, "alter table moved_t set tablespace ts");
    for (table, segment) in [(&rows, 1), (&rows, 2), (&columns, 1), (&columns, 129), (&moved, 1)] {
        table.append(server, segment, &[7; 1000]);
    }
    sql(server, "create table heap_t(a int)");
    let check = |args: &[&str]| stand.damson(&[&["check-ao-aocs-length"], args].concat());
    let passed = check(&["-l", "/var/log"]).ok();
    assert!(passed.stderr.contains("check passed: 5 files"), "{}", passed.report());
    stand.damson(&["backup-push"]).ok();

    rows.append_uncommitted(server, 1, &[7; 5000]);
    check(&[]).ok();
    for (table, segment) in [(&rows, 2), (&columns, 129), (&moved, 1)] {
        cut(table, server, segment, 999);
    }
    let failed = check(&[]);
    assert_eq!(failed.stderr.matches(" has 999 bytes, its catalog says 1000").count(), 3, "{}", failed.report());
    for (table, segment) in [(&rows, 2), (&columns, 129), (&moved, 1)] {
        let path = table.file(server, segment);
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(failed.stderr.contains(&format!("/{name} has")), "{name}: {}", failed.report());
    }
    failed.fails(1, &["check failed: 3 of 5 files are too short", "content 0: database Other db"]);
    let port = server.port.to_string();
    let alone = ["check-ao-aocs-length-segment", "--port", &port, "--segnum", "0"];
    stand.damson(&alone).fails(1, &["check failed: 3 of 5"]);

    // Of the backup: the files of today are too short, and so is an object.
    let failed = check(&["--check-backup"]);
    assert_eq!(failed.stderr.matches("the file has 999 bytes now").count(), 3, "{}", failed.report());
    for (table, segment) in [(&rows, 2), (&columns, 129), (&moved, 1)] {
        table.append_uncommitted(server, segment, &[7; 10]);
    }
    check(&["--check-backup", "-n", &stands::latest(&stand)]).ok();
    let folder = stand.store_dir().join("segments_005/seg0/basebackups_005/aosegments");
    let object = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&object, [7; 10]).unwrap();
    let name = object.file_name().unwrap().to_str().unwrap();
    check(&["--check-backup"]).fails(1, &[name, "has 10 bytes", "check failed: 1 of 5"]);
    check(&["--check-backup", "-n", "nosuch"]).fails(1, &["nosuch", "does not exist"]);
}

fn cut(table: &AoTable, server: &Server, segment: u32, bytes: usize) {
    User::get().write(&table.file(server, segment), vec![7; bytes], 0o600);
}
