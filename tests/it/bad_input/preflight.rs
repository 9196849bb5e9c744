//! What a backup finds out before it starts: archiving, storage, data directories.

use std::os::unix::fs::{PermissionsExt, chown};

use rig::{StandSpec, User, sql};

use super::{assert_no_backup, refused};
use crate::stands;

/// Several things are wrong at once; every one is told, with its place.
#[test]
fn gp_009_archiving_that_is_off_is_named_by_segment() {
    let mut stand = stands::start("archiving", &StandSpec::default());
    let command = stand.product.archive_command(2);
    stand.cluster.server(2).set("archive_command", "");
    let one = stand.cluster.server_mut(1);
    one.stop();
    one.settings.push(("archive_mode".to_string(), "off".to_string()));
    one.start();

    for command in [&["hosts", "check"][..], &["backup-push"]] {
        let output = stand.damson(command);
        let output = refused(
            output,
            &[
                "content 1",
                "archive_mode is off",
                "set archive_mode = on",
                "content 2",
                "archive_command is not set",
                "damson seg wal-push %p",
            ],
        );
        assert!(!output.stderr.contains("content 0"), "{}", output.report());
        assert!(output.stderr.contains("2 checks failed"), "{}", output.report());
    }
    assert_no_backup(&stand);

    stand.cluster.server(2).set("archive_command", &command);
    let one = stand.cluster.server_mut(1);
    one.stop();
    one.settings.clear();
    one.start();
    stand.damson(&["hosts", "check"]).ok();
    stand.damson(&["backup-push"]).ok();
}

#[test]
fn a_storage_that_cannot_be_written_is_named() {
    let stand = stands::small("readonly", &StandSpec::default());
    let store = stand.store_dir();
    // Not the user's any more. Servers that archive meanwhile try again later.
    chown(&store, Some(0), Some(0)).unwrap_or_default();
    std::fs::set_permissions(&store, PermissionsExt::from_mode(0o555)).unwrap();
    let path = store.display().to_string();
    refused(stand.damson(&["backup-push"]), &[&path, "ermission denied", "check the permissions"]);
    let output = refused(stand.damson(&["hosts", "check"]), &[&path, "ermission denied", "content -1", "content 0"]);
    assert!(output.stderr.contains("checks failed"), "{}", output.report());
    std::fs::set_permissions(&store, PermissionsExt::from_mode(0o700)).unwrap();
    User::get().own(&store);
    assert_no_backup(&stand);
    stand.damson(&["backup-push"]).ok();

    let gone = store.with_extension("gone");
    std::fs::rename(&store, &gone).unwrap();
    refused(stand.damson(&["backup-push"]), &[&path, "does not exist", "must be created first"]);
    std::fs::rename(&gone, &store).unwrap();
    stand.damson(&["backup-push"]).ok();
}

/// Archiving that is configured and never succeeds: the backup cannot be proved, so it is none.
#[test]
fn archiving_that_never_succeeds_fails_the_backup() {
    let settings = vec![("DAMSON_ARCHIVE_TIMEOUT".to_string(), "2s".to_string())];
    let stand = stands::small("never", &StandSpec { settings, ..StandSpec::default() });
    stand.cluster.server(0).set("archive_command", "false");
    let output = refused(stand.damson(&["backup-push"]), &["gave up waiting", "content 0", "archive_command"]);
    let has_name = output.stderr.split_whitespace().any(|word| word.len() == 24 && word.starts_with("00000001"));
    assert!(has_name, "{}", output.report());
    assert_no_backup(&stand);
    assert!(!stand.store_dir().join("basebackups_005").exists(), "neither sentinel nor restore point");

    stand.cluster.server(0).set("archive_command", &stand.product.archive_command(0));
    sql(stand.cluster.server(0), "select pg_switch_wal()");
    stand.damson(&["backup-push"]).ok();
}

/// A row of the catalog that leads to another server's directory, and a server that is down.
#[test]
fn segments_that_are_not_what_the_catalog_says_are_named() {
    let mut stand = stands::small("segments", &StandSpec::default());
    let set = |stand: &rig::Stand, column: &str, value: &str| {
        let text = format!(
            "set allow_system_table_mods = on; update gp_segment_configuration set {column} = {value} where content = 0"
        );
        sql(stand.cluster.coordinator(), &text);
    };
    let right = format!("'{}'", stand.cluster.server(0).data_dir.display());
    set(&stand, "datadir", "'/nonexistent/gpseg0'");
    let texts = ["content 0", "/nonexistent/gpseg0", "gp_segment_configuration"];
    refused(stand.damson(&["backup-push"]), &texts);
    let other = format!("'{}'", stand.cluster.coordinator().data_dir.display());
    set(&stand, "datadir", &other);
    refused(stand.damson(&["backup-push"]), &["content 0", "runs on", "gp_segment_configuration"]);
    set(&stand, "datadir", &right);

    stand.cluster.server_mut(0).stop();
    let port = stand.cluster.server(0).port.to_string();
    refused(stand.damson(&["backup-push"]), &["content 0", &port]);
    assert_no_backup(&stand);
    stand.cluster.server_mut(0).start();
    stand.damson(&["backup-push"]).ok();
}
