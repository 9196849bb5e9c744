//! One failure of one segment or of one agent: the work goes on without redoing what others have done. What is gone for good ends
//! the command.

use nix::sys::signal::{Signal, kill};
use rig::{Output, Running, Stand, StandSpec, Storage, sql};

use crate::stands::{self, SOON, agent, assert_nothing_runs, held, s3};

const AGAIN: &str = "failed, and is tried once more";
const DIED: &str = "its unfinished segments are started again";
/// Archive parts of content 1, which is on the second host together with content 2.
const PARTS: &str = "*/seg1/*/tar_partitions/part_";

/// Rows in S3; a request that fails is tried twice.
fn stand(name: &str) -> Stand {
    let settings = vec![("S3_MAX_RETRIES".to_string(), "1".to_string())];
    let stand = stands::start(name, &StandSpec { storage: Storage::S3, settings, ..StandSpec::default() });
    rig::load(&stand.cluster);
    stand
}

fn push_held(stand: &Stand) -> Running {
    held(stand, &["backup-push"], &format!("PUT {PARTS}"))
}

/// How often a phase was begun for a segment.
fn begun(output: &Output, phase: &str, content: i32) -> usize {
    let end = format!(" content_id={content}");
    output.stderr.lines().filter(|line| line.contains(phase) && line.ends_with(&end)).count()
}

/// Content 1 alone was begun twice.
#[track_caller]
fn assert_others_went_on(output: &Output, phase: &str) {
    let counts: Vec<usize> = [-1, 0, 1, 2].iter().map(|content| begun(output, phase, *content)).collect();
    assert_eq!(counts, [1, 1, 2, 1], "{}", output.report());
}

#[test]
fn a_segment_whose_storage_failed_is_pushed_and_fetched_again_alone() {
    let mut stand = stand("again-s3");
    let before = stands::sums(&stand.cluster);
    let mut push = push_held(&stand);
    s3(&stand).fail(&[&format!("PUT {PARTS}")]);
    push.wait_for_stderr(AGAIN, SOON);
    s3(&stand).release();
    let pushed = push.wait(SOON).ok_despite(&[AGAIN]);
    assert_others_went_on(&pushed, "starting the backup");
    assert_nothing_runs(&mut stand);

    let restore = stand.plan_restore("restored");
    let args = ["backup-fetch", "LATEST", "--restore-config", restore.config.to_str().unwrap()];
    let mut fetch = held(&stand, &args, &format!("GET {PARTS}"));
    s3(&stand).fail(&[&format!("GET {PARTS}")]);
    fetch.wait_for_stderr(AGAIN, SOON);
    s3(&stand).release();
    let fetched = fetch.wait(SOON).ok_despite(&[AGAIN]);
    assert_others_went_on(&fetched, "reading the backup's metadata");
    assert_eq!(stands::sums(&stand.start_restored(&restore)), before);
}

#[test]
fn a_segment_whose_session_was_killed_is_pushed_again_alone() {
    let stand = stand("again-session");
    let before = stands::sums(&stand.cluster);
    let push = push_held(&stand);
    let sessions = "from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()";
    let killed = sql(stand.cluster.server(1), &format!("select count(pg_terminate_backend(pid)) {sessions}"));
    assert_eq!(killed, "1");
    s3(&stand).release();
    let pushed = push.wait(SOON).ok_despite(&[AGAIN, "could not be told to leave backup mode"]);
    assert_others_went_on(&pushed, "starting the backup");
    assert_eq!(stands::sums(&stand.restore("restored", &["LATEST"])), before);
}

/// The restore point is not taken yet, so a new process does what the dead one had not finished.
#[test]
fn the_segments_of_a_dead_agent_are_started_again() {
    let mut stand = stand("again-agent");
    let before = stands::sums(&stand.cluster);
    let mut push = push_held(&stand);
    kill(agent(&stand.hosts.list[1], "push"), Signal::SIGKILL).unwrap();
    push.wait_for_stderr(DIED, SOON);
    s3(&stand).release();
    let pushed = push.wait(SOON).ok_despite(&[DIED]);
    assert_eq!(begun(&pushed, "starting the backup", 0), 1, "{}", pushed.report());
    assert_nothing_runs(&mut stand);

    let restore = stand.plan_restore("restored");
    let args = ["backup-fetch", "LATEST", "--restore-config", restore.config.to_str().unwrap()];
    let mut fetch = held(&stand, &args, "GET *seg1/*pg_control.tar");
    kill(agent(&stand.hosts.list[1], "unpack"), Signal::SIGKILL).unwrap();
    fetch.wait_for_stderr(DIED, SOON);
    s3(&stand).release();
    fetch.wait(SOON).ok_despite(&[DIED]);
    assert_eq!(stands::sums(&stand.start_restored(&restore)), before);
}

/// Agents that die again and again, and a server that does not come back, fail the whole backup; the next one succeeds.
#[test]
fn gp_011_a_segment_that_is_gone_for_good_fails_the_backup() {
    let mut stand = stand("gone");
    let mut push = push_held(&stand);
    let copying = s3(&stand).held().len();
    kill(agent(&stand.hosts.list[1], "push"), Signal::SIGKILL).unwrap();
    push.wait_until("the second attempt copies", SOON, |log| log.contains(DIED) && s3(&stand).held().len() > copying);
    kill(agent(&stand.hosts.list[1], "push"), Signal::SIGKILL).unwrap();
    s3(&stand).release();
    let died = "host 127.0.0.3: the agent process of the job died before the job was finished";
    push.wait(SOON).fails(1, &[died, "1 other host"]);
    assert!(stands::backups(&stand, &[]).is_empty());
    assert_nothing_runs(&mut stand);

    let push = push_held(&stand);
    stand.cluster.server_mut(1).crash();
    s3(&stand).release();
    push.wait(SOON).fails(1, &["host 127.0.0.3, content 1", AGAIN, "1 other host"]);
    assert!(stands::backups(&stand, &[]).is_empty());
    stand.cluster.server_mut(1).start();
    assert_nothing_runs(&mut stand);
    stand.damson(&["backup-push"]).ok();
    assert_eq!(stands::backups(&stand, &[]).len(), 1);
}
