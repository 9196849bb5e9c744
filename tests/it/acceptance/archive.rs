//! What archiving is worth: each segment's own folder, and a restore that cannot do without.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use rig::{StandSpec, sql, wait_for};

use crate::stands::{self, SOON};

#[test]
fn gp_007_every_primary_archives_into_its_own_folder() {
    let stand = stands::start("archives", &StandSpec::default());
    for server in &stand.cluster.servers {
        server.archive_wal();
        let last = sql(server, "select last_archived_wal from pg_stat_archiver");
        let folder = stand.store_dir().join(format!("segments_005/seg{}/wal_005", server.content));
        assert!(folder.join(format!("{last}.lz4")).is_file(), "content {}: {last}", server.content);
    }
    // A file that cannot be stored is a failure that the server sees, and keeps the file for.
    let server = stand.cluster.server(1);
    let folder = stand.store_dir().join("segments_005/seg1/wal_005");
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o500)).unwrap();
    // Without news there is nothing to switch.
    sql(server, "create table news(a int)");
    let file = sql(server, "select pg_walfile_name(pg_switch_wal())");
    wait_for("failure of the archive command", SOON, || {
        sql(server, "select failed_count > 0 and last_failed_wal is not null from pg_stat_archiver") == "t"
    });
    assert!(!folder.join(format!("{file}.lz4")).exists());
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o700)).unwrap();
    wait_for("the next attempt", Duration::from_secs(120), || folder.join(format!("{file}.lz4")).is_file());
}

/// Without a segment's log its server does not reach the restore point and does not start; with the log it does.
#[test]
fn gp_014_a_restore_needs_the_log_up_to_its_point() {
    let stand = stands::small("needs-log", &StandSpec::default());
    rig::load(&stand.cluster);
    let before = stands::sums(&stand.cluster);
    stand.damson(&["backup-push"]).ok();
    let folder = stand.store_dir().join("segments_005/seg0/wal_005");
    let away = folder.with_extension("away");
    std::fs::rename(&folder, &away).unwrap();
    let restore = stand.plan_restore("without");
    stand.fetch(&restore, &["LATEST"]).ok();
    let place = restore.places.iter().find(|place| place.content == 0).unwrap();
    let mut server = rig::Server::at(&stand.scratch, &stand.hosts, place, &[("archive_mode", "off")]);
    server.start_in_vain();
    let log = server.log_text();
    assert!(log.contains("could not locate required checkpoint record") || log.contains("recovery target"), "{log}");
    std::fs::rename(&away, &folder).unwrap();
    assert_eq!(stands::sums(&stand.restore("with", &["LATEST"])), before);
}
