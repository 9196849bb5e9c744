//! The agent protocol, spoken to `serve` over a pipe in memory and to the real binary over its streams. Jobs run in this
//! process, in a process of their own made from this test binary, or in the real binary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod binary;
mod connections;
mod jobs;
mod line;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use formats::ContentId;
use formats::wire::{Event, JobId, JobSpec, JournalEntry, Outcome, Reply, Request, Work};

fn start_request(id: &str, config: &Path, lease_seconds: u64) -> Request {
    let spec = JobSpec { config: config.to_owned(), segments: Vec::new(), work: Work::Check };
    Request::Start { job: JobId(id.to_owned()), lease_seconds, spec }
}

fn start(id: &str) -> Request {
    start_request(id, Path::new("/nonexistent/config.yaml"), 3600)
}

fn attach(id: &str, from: u64) -> Request {
    Request::Attach { job: JobId(id.to_owned()), from }
}

fn phase(text: &str) -> Event {
    Event::Phase { content: ContentId(0), text: text.to_owned() }
}

fn outcome_of(entry: &JournalEntry) -> &Outcome {
    match &entry.event {
        Event::Finished { outcome, .. } => outcome,
        other => panic!("not the end: {other:?}"),
    }
}

/// The event of a reply.
fn entry_of(reply: Reply) -> JournalEntry {
    match reply {
        Reply::Event(entry) => entry,
        other => panic!("not an event: {other:?}"),
    }
}

fn refusal_of(reply: Reply) -> String {
    match reply {
        Reply::Refused { error } => error.message,
        other => panic!("not refused: {other:?}"),
    }
}

/// No wait of these tests is longer.
const LIMIT: Duration = Duration::from_secs(60);

async fn until(mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < LIMIT);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn job_path(state: &Path, id: &str) -> PathBuf {
    state.join("jobs").join(id)
}
