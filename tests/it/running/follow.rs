//! A restored cluster that follows its source from point to point.

use rig::{Stand, sql};

use super::{Restored, stand};

fn fill(stand: &Stand, from: i32) {
    for server in &stand.cluster.servers {
        sql(server, "create table if not exists heap(a int)");
        sql(server, &format!("insert into heap select generate_series({from}, {from} + 9)"));
    }
}

/// rp1, rp2, LATEST, each until every server has shut down; then promoted, with the rows of the last point.
#[test]
fn gp_029_a_cluster_follows_its_source() {
    let stand = stand("follow");
    let restored = Restored::new(&stand, stand.plan_restore("restored"));
    let config = restored.config();
    let follow = |point: &str| stand.damson(&["follow-primary", point, "--restore-config", config]);
    follow("LATEST").fails(1, &["there is no restore point", "create-restore-point"]);

    stand.damson(&["backup-push"]).ok();
    for (number, point) in ["rp1", "rp2", "rp3"].into_iter().enumerate() {
        fill(&stand, number as i32 * 10 + 1);
        stand.damson(&["create-restore-point", point]).ok();
    }
    follow("nope").fails(1, &["nope"]);
    stand.fetch(&restored.restore, &["LATEST"]).ok();
    stand.damson(&["recovery-action", "shutdown", "--restore-config", config]).ok();
    // The log of a point that nothing has archived yet is asked for in vain.
    for server in &stand.cluster.servers {
        server.archive_wal();
    }
    for point in ["rp1", "rp1", "rp2", "LATEST"] {
        let followed = follow(point).ok();
        assert!(followed.stderr.contains("3 servers have shut down at the restore point"), "{}", followed.report());
        assert!(restored.restore.places.iter().all(|place| !place.data_dir.join("postmaster.pid").exists()));
    }
    let main = std::fs::read_to_string(restored.restore.places[0].data_dir.join("postgresql.conf")).unwrap();
    assert_eq!(main.matches("include_if_exists = 'damson.recovery.conf'").count(), 1);

    stand.damson(&["recovery-action", "promote", "--restore-config", config]).ok();
    stand.damson(&["cluster-start", "--no-archiving", "--restore-config", config]).ok();
    assert_eq!(restored.ask("select count(*) from heap"), ["30"; 3]);
    assert_eq!(restored.catalog(), restored.expected_catalog());
    follow("rp3").fails(1, &["has left recovery", "restore the cluster anew"]);
}

/// Log that is missing is named for every segment, before anything is changed or started.
#[test]
fn missing_log_is_told_before_anything_is_done() {
    let stand = stand("follow-missing");
    let restored = Restored::new(&stand, stand.plan_restore("restored"));
    stand.damson(&["backup-push"]).ok();
    stand.damson(&["create-restore-point", "rp1"]).ok();
    for server in &stand.cluster.servers {
        server.archive_wal();
    }
    stand.fetch(&restored.restore, &["LATEST"]).ok();
    let folder = stand.store_dir().join("segments_005/seg1/wal_005");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.path()).collect();
    files.sort();
    for file in files.iter().skip(1) {
        std::fs::remove_file(file).unwrap();
    }
    let before = std::fs::read(restored.restore.places[0].data_dir.join("damson.recovery.conf")).unwrap();
    let followed = stand.damson(&["follow-primary", "rp1", "--restore-config", restored.config()]);
    followed.fails(1, &["content 1: log file", "WAL file was not uploaded for all segments and master"]);
    let after = std::fs::read(restored.restore.places[0].data_dir.join("damson.recovery.conf")).unwrap();
    assert_eq!(before, after);
}
