//! Requests and what comes of them, over connections in this process.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use formats::wire::{Event, Outcome, Reply, Request};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use segment_agent::serve::{JobDirectory, Journal, write_message};

use super::jobs::{apart, brief, here, patient};
use super::line::Line;
use super::{attach, job_path, outcome_of, phase, refusal_of, start, start_request, until};

#[tokio::test]
async fn a_job_is_streamed_and_can_be_read_again_from_any_event() {
    let state = tempfile::tempdir().unwrap();
    let mut line = Line::open(state.path(), 1 << 16, here(brief)).await;
    line.send(&start("a")).await;
    let events = line.events_to_the_end().await;
    assert_eq!(events.iter().map(|entry| entry.number).collect::<Vec<_>>(), (0..102).collect::<Vec<u64>>());
    assert_eq!(events[0].event, Event::Started { pid: std::process::id() });
    assert_eq!(outcome_of(&events[101]), &Outcome::Done);
    for from in [0, 1, 57, 101] {
        let mut line = Line::attach_to(state.path(), "a", from).await;
        assert_eq!(line.events_to_the_end().await, events[from as usize..]);
    }
    let mut line = Line::attach_to(state.path(), "a", 102).await;
    assert!(refusal_of(line.next().await.unwrap()).contains("no event 102"));
}

#[tokio::test]
async fn a_job_outlives_its_connection() {
    let state = tempfile::tempdir().unwrap();
    let mut line = Line::open(state.path(), 1 << 16, here(patient)).await;
    line.send(&start("a")).await;
    assert_eq!(line.event().await.number, 0);
    let Line { input, output, served } = line;
    drop((input, output));
    let _ = served.await.unwrap();

    let mut line = Line::attach_to(state.path(), "a", 1).await;
    assert_eq!(line.event().await.event, phase("waiting"));
    line.send(&Request::Cancel).await;
    let events = line.events_to_the_end().await;
    let why = "the coordinator asked for it".to_owned();
    assert_eq!((events[0].number, outcome_of(&events[0])), (2, &Outcome::Cancelled { why }));
}

#[tokio::test]
async fn starting_twice_attaches_and_another_job_of_that_name_is_refused() {
    let state = tempfile::tempdir().unwrap();
    let mut first = Line::open(state.path(), 1 << 16, here(patient)).await;
    first.send(&start("a")).await;
    first.event().await;
    let mut second = Line::open(state.path(), 1 << 16, |_| panic!("started twice")).await;
    second.send(&start("a")).await;
    assert_eq!(second.event().await.number, 0);
    let mut third = Line::open(state.path(), 1 << 16, |_| panic!("started twice")).await;
    third.send(&start_request("a", Path::new("/other"), 3600)).await;
    assert!(refusal_of(third.next().await.unwrap()).contains("another specification"));
    second.send(&Request::Cancel).await;
    first.events_to_the_end().await;
}

#[tokio::test]
async fn heartbeats_and_attaching_renew_the_lease() {
    let state = tempfile::tempdir().unwrap();
    let mut line = Line::open(state.path(), 1 << 16, here(patient)).await;
    line.send(&start("a")).await;
    line.event().await;
    let lease = job_path(state.path(), "a").join("lease");
    let long_ago = SystemTime::now() - Duration::from_secs(1000);
    let make_old = || File::open(&lease).unwrap().set_modified(long_ago).unwrap();
    let is_old = || lease.metadata().unwrap().modified().unwrap() == long_ago;
    make_old();
    line.send(&Request::Heartbeat).await;
    until(|| !is_old()).await;
    make_old();
    let mut other = Line::attach_to(state.path(), "a", 0).await;
    other.event().await;
    assert!(!is_old());
    line.send(&Request::Cancel).await;
    line.events_to_the_end().await;
}

#[tokio::test]
async fn a_coordinator_that_does_not_read_is_heard() {
    let state = tempfile::tempdir().unwrap();
    let talkative = |spec, journal: Journal, cancel| async move {
        journal.record(phase(&"much to tell ".repeat(1000)));
        patient(spec, journal, cancel).await
    };
    let mut line = Line::open(state.path(), 256, here(talkative)).await;
    line.send(&start("a")).await;
    line.send(&Request::Cancel).await;
    let cancel = job_path(state.path(), "a").join("cancel");
    until(|| cancel.exists()).await;
    assert!(matches!(outcome_of(line.events_to_the_end().await.last().unwrap()), Outcome::Cancelled { .. }));
}

#[tokio::test]
async fn silence_of_the_agent_is_a_broken_connection() {
    let state = tempfile::tempdir().unwrap();
    let mut line = Line::open(state.path(), 1 << 16, here(patient)).await;
    line.send(&start("a")).await;
    line.event().await;
    line.event().await;
    assert_eq!(line.next().await, Some(Reply::Alive));
    line.send(&Request::Cancel).await;
    line.events_to_the_end().await;
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_job_goes_on() {
    let state = tempfile::tempdir().unwrap();
    let mut line = Line::open(state.path(), 1 << 16, here(patient)).await;
    line.send(&start("a")).await;
    line.event().await;
    line.event().await;
    line.send(&start("b")).await;
    assert!(refusal_of(line.next().await.unwrap()).contains("attached to this connection already"));
    assert_eq!(line.next().await, None);

    for (first, refusal) in [
        (Request::Heartbeat, "no job is attached"),
        (attach("../a", 0), "is no name for a job"),
        (attach("b", 0), "knows no job b"),
        (start_request("c", Path::new("/c"), 0), "a lease of 0 s"),
    ] {
        let mut line = Line::open(state.path(), 1 << 16, |_| panic!("started")).await;
        line.send(&first).await;
        let message = refusal_of(line.next().await.unwrap());
        assert!(message.contains(refusal), "{message}");
        assert_eq!(line.next().await, None);
    }
    let mut line = Line::open(state.path(), 1 << 16, |_| panic!("started")).await;
    write_message(&mut line.output, &"dance").await.unwrap();
    assert!(refusal_of(line.next().await.unwrap()).contains("not understood"));

    let mut line = Line::attach_to(state.path(), "a", 2).await;
    line.send(&Request::Cancel).await;
    line.events_to_the_end().await;
}

#[tokio::test]
async fn a_coordinator_that_falls_silent_ends_the_job() {
    let state = tempfile::tempdir().unwrap();
    let mut line = Line::open(state.path(), 1 << 16, apart).await;
    line.send(&start_request("a", Path::new("/c"), 1)).await;
    line.event().await;
    let why = "no sign of life from the coordinator for 1 s".to_owned();
    assert_eq!(outcome_of(line.events_to_the_end().await.last().unwrap()), &Outcome::Cancelled { why });
}

#[tokio::test]
async fn signals_end_a_job_and_death_is_told() {
    for (signal, outcome) in [
        (Signal::SIGTERM, "signal SIGTERM"),
        (Signal::SIGINT, "signal SIGINT"),
        (Signal::SIGHUP, "signal SIGHUP"),
        (Signal::SIGKILL, "the agent process of the job died"),
    ] {
        let state = tempfile::tempdir().unwrap();
        let mut line = Line::open(state.path(), 1 << 16, apart).await;
        line.send(&start("a")).await;
        let Event::Started { pid } = line.event().await.event else { panic!("not started") };
        // The work has begun, so the signals are listened to.
        assert_eq!(line.event().await.event, phase("waiting"));
        kill(Pid::from_raw(pid as i32), signal).unwrap();
        let last = line.event().await;
        match outcome_of(&last) {
            Outcome::Cancelled { why } => assert_eq!(why, outcome),
            Outcome::Died { error } => assert!(error.message.contains(outcome), "{error:?}"),
            Outcome::Done | Outcome::Failed { .. } => panic!("{last:?}"),
        }
        assert_eq!(last.number, 2);
    }
}

#[tokio::test]
async fn old_jobs_are_removed_and_living_ones_stay() {
    let state = tempfile::tempdir().unwrap();
    let run = async |id: &str| {
        let mut line = Line::open(state.path(), 1 << 16, here(brief)).await;
        line.send(&start(id)).await;
        line.events_to_the_end().await;
    };
    let mut locked = None;
    for (id, age_days) in [("recent", 6), ("living", 8), ("old", 8)] {
        run(id).await;
        let then = SystemTime::now() - Duration::from_secs(age_days * 24 * 3600);
        File::open(job_path(state.path(), id).join("lease")).unwrap().set_modified(then).unwrap();
        if id == "living" {
            locked = Some(JobDirectory::new(job_path(state.path(), id)).lock().unwrap());
        }
    }
    run("new").await;
    let left = |id| job_path(state.path(), id).exists();
    assert_eq!([left("recent"), left("living"), left("old"), left("new")], [true, true, false, true]);
    drop(locked);
}
