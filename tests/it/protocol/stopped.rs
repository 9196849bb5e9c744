//! Pushes that are stopped: by a signal, by the death of an agent, by another push.

use nix::sys::signal::{Signal, kill};
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
fn the_death_of_an_agent_fails_the_backup() {
    let stand = stand("killed", "60s");
    let push = push_held_while(&stand, COPYING);
    kill(last_push(&stand.hosts.list[1]).pid(), Signal::SIGKILL).unwrap();
    let asked = last_push(&stand.hosts.list[0]).dir.join("cancel");
    wait_for("stop of the other host", SOON, || asked.exists());
    s3(&stand).release();
    let died = "host 127.0.0.3: the agent process of the job died before the job was finished";
    push.wait(SECONDS).fails(1, &[died, "1 other host stopped"]);
    assert_nothing_runs(&stand);
    assert_eq!(
        last_push(&stand.hosts.list[0]).outcome(),
        json!({"cancelled": {"why": "the coordinator asked for it"}})
    );
    assert_eq!(cluster_sentinels(&stand), Vec::<String>::new());
    // What the others had stored is gone; the dead agent could not clean up.
    let of_others = |name: &String| !name.contains("/seg1/") && !name.contains("/seg2/");
    assert_eq!(stored(&stand).into_iter().find(of_others), None);
    assert_push_succeeds(&stand);
}

#[test]
fn a_second_push_is_refused_while_one_runs() {
    let stand = stand("second", "60s");
    let push = push_held_while(&stand, COPYING);
    stand.damson(&["backup-push"]).fails(1, &["backup", "lock"]);
    s3(&stand).release();
    push.wait(SOON).ok();
    assert_eq!(cluster_sentinels(&stand).len(), 1);
    assert_nothing_runs(&stand);
}
