//! Pushes that are stopped: by a signal, by another push.

use nix::sys::signal::Signal;
use serde_json::json;

use super::*;

/// How long a stop may take. With a storage that answers it takes a fraction of a second.
const SECONDS: Duration = Duration::from_secs(15);

#[test]
fn a_signal_stops_everything() {
    let mut stand = stand("signal", "60s");
    uploads_in_pieces(&mut stand);
    let before = stored(&stand);
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut push = push_held_while(&stand, UPLOADING);
        push.signal(signal);
        push.wait_for_stderr("stopping", SOON);
        s3(&stand).release();
        push.wait(SECONDS).fails(1, &["interrupted; 2 hosts stopped"]);
        assert_nothing_left(&stand, &before);
        for host in &stand.hosts.list {
            assert_eq!(last_push(host).outcome(), json!({"cancelled": {"why": "the coordinator asked for it"}}));
        }
    }
    assert_backup_mode_left_in_order(&stand);
    assert_push_succeeds(&stand);
}

/// Also where the storage takes no more bytes and does not refuse them either.
#[test]
fn a_signal_stops_a_push_whose_storage_hangs() {
    let mut stand = stand("hang", "60s");
    uploads_in_pieces(&mut stand);
    let before = stored(&stand);
    let mut push = push_held_while(&stand, UPLOADING);
    push.signal(Signal::SIGTERM);
    push.wait(Duration::from_secs(30)).fails(1, &["interrupted; 2 hosts stopped"]);
    assert_nothing_left(&stand, &before);
    assert_backup_mode_left_in_order(&stand);
}

#[test]
fn a_second_push_is_refused_while_one_runs() {
    let stand = stand("second", "60s");
    let push = push_held_while(&stand, COPYING);
    stand.damson(&["backup-push"]).fails(1, &["another push is under way in this storage: backup backup_"]);
    s3(&stand).release();
    push.wait(SOON).ok();
    assert_eq!(cluster_sentinels(&stand).len(), 1);
    assert_nothing_runs(&stand);
}
