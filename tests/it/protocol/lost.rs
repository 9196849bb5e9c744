//! Connections that are lost, for a moment or for good.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::*;

/// What the coordinator printed of the phases of a segment is what the journals hold: every event once, in order.
fn assert_every_phase_told_once(stand: &Stand, output: &Output) {
    for host in &stand.hosts.list {
        let job = last_push(host);
        let events = job.events();
        assert!(events[0].get("started").is_some() && job.outcome() == json!("done"), "{events:?}");
        for content in job.contents() {
            let phase = |event: &Value| {
                let phase = &event["phase"];
                (phase["content"] == content).then(|| phase["text"].as_str().unwrap().to_string())
            };
            let written: Vec<String> = events.iter().filter_map(phase).collect();
            let place = format!(" host={} content_id={content}", host.address);
            let told = output.stderr.lines().filter_map(|line| line.strip_suffix(&place));
            // "INFO: date time text"
            let told: Vec<String> = told.map(|line| line.splitn(4, ' ').nth(3).unwrap().to_string()).collect();
            assert_eq!(told, written, "content {content}");
            assert!(written.len() >= 3, "{written:?}");
        }
    }
}

#[test]
fn a_push_outlives_cut_connections() {
    let stand = stand("cut", "20s");
    let mut push = push_held_while(&stand, COPYING);
    for times in 1..=2 {
        // An attempt to attach may be under way: it is no connection that can be cut.
        wait_for("connection to cut", SOON, || stand.hosts.list[1].cut_connections() > 0);
        push.wait_until("it attaches again", SOON, |log| log.matches("attached again").count() == times);
    }
    s3(&stand).release();
    let output = push.wait(SOON).ok();
    assert_every_phase_told_once(&stand, &output);
    assert_eq!(jobs(&stand.hosts.list[1], "push").len(), 1, "the job goes on, no other is started");
    assert_eq!(cluster_sentinels(&stand).len(), 1);
    assert_nothing_runs(&stand);
    assert!(s3(&stand).unfinished_uploads().is_empty());
    assert_backup_mode_left_in_order(&stand);
}

/// The work was done while nobody could be told: the rest of the journal comes with the next connection.
#[test]
fn a_push_that_ends_while_the_connection_is_down_is_reported() {
    let mut stand = stand("down", "20s");
    let mut push = push_held_while(&stand, COPYING);
    stand.hosts.list[1].stop();
    push.wait_for_stderr("the job goes on", SOON);
    s3(&stand).release();
    let job = last_push(&stand.hosts.list[1]);
    wait_for("end of the job", SOON, || job.outcome() == json!("done"));
    assert!(push.is_running());
    stand.hosts.list[1].start();
    let output = push.wait(SOON).ok();
    assert_every_phase_told_once(&stand, &output);
    assert_nothing_runs(&stand);
}

/// The agent stops when its lease is over, and so does the coordinator, who names the host.
#[test]
fn a_host_that_stays_away_is_given_up() {
    let mut stand = stand("away", "4s");
    uploads_in_pieces(&mut stand);
    let before = stored(&stand);
    let mut push = push_held_while(&stand, UPLOADING);
    stand.hosts.list[1].stop();
    push.wait_for_stderr("127.0.0.3", SOON);
    let job = last_push(&stand.hosts.list[1]);
    let log = job.dir.join("log");
    wait_for("end of the lease", SOON, || {
        std::fs::read_to_string(&log).unwrap().contains("stopping the job: no sign of life")
    });
    s3(&stand).release();
    push.wait(SOON).fails(1, &["host 127.0.0.3: gave no sign of life for 4 s", "1 other host stopped"]);
    assert_nothing_left(&stand, &before);
    assert_backup_mode_left_in_order(&stand);
    assert!(job.outcome()["cancelled"]["why"].as_str().unwrap().starts_with("no sign of life"), "{}", job.outcome());

    stand.hosts.list[1].start();
    assert_push_succeeds(&stand);
}

/// A coordinator that cannot be stopped in order leaves agents that stop by themselves.
#[test]
fn agents_stop_when_the_coordinator_was_killed() {
    let mut stand = stand("orphan", "4s");
    uploads_in_pieces(&mut stand);
    let before = stored(&stand);
    let mut push = push_held_while(&stand, UPLOADING);
    push.signal(Signal::SIGKILL);
    assert_eq!(push.wait(SOON).status, None);
    for host in &stand.hosts.list {
        let log = last_push(host).dir.join("log");
        let stops = || std::fs::read_to_string(&log).unwrap().contains("stopping the job: no sign of life");
        wait_for("end of the lease", SOON, stops);
    }
    s3(&stand).release();
    assert_nothing_left(&stand, &before);
    assert_backup_mode_left_in_order(&stand);
    assert_eq!(cluster_sentinels(&stand), Vec::<String>::new());
    assert_push_succeeds(&stand);
}
