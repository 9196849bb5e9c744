//! Preflight: every host and segment is checked at once, and every failure is told, not the first alone.

use std::time::Duration;

use coordinator::fanout::{self, Cause, HostJob};
use coordinator::host::{Agent, HostName};
use formats::ContentId;
use formats::wire::{ErrorReport, Event, JournalEntry, SegmentResult, Work};
use futures::future::join_all;

use crate::cluster::Node;
use crate::error::{Error, Result};
use crate::session::Session;

/// Clocks may differ by this much before a person is told.
pub const TOLERATED_SKEW: Duration = Duration::from_secs(10);

/// How long an interrupted preflight waits for the hosts.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// What was found out about a segment that is in order.
pub struct Checked {
    pub host: HostName,
    pub content: i32,
    pub server_version: u32,
    pub free_bytes: u64,
}

/// Checks all of `nodes`. Each failure is printed with host, segment and remedy; then the whole fails.
pub async fn run(session: &Session, nodes: &[Node]) -> Result<Vec<Checked>> {
    let jobs = session.jobs(nodes, |_| Work::Check)?;
    let hosts = jobs.len();
    let checks = join_all(jobs.into_iter().map(|job| check_host(session, job)));
    let outcomes = tokio::select! {
        outcomes = checks => outcomes,
        // A check changes nothing and ends by itself: it is told to stop, but not waited for where it hangs.
        () = interrupted(session) => return Err(Error::Interrupted),
    };
    let (mut checked, mut failures) = (Vec::new(), 0);
    for outcome in outcomes {
        checked.extend(outcome.checked);
        for (place, error) in &outcome.failures {
            failures += 1;
            tracing::error!("{place}: {}", error.message);
            if let Some(remedy) = &error.remedy {
                tracing::error!("{place}: {remedy}");
            }
        }
    }
    if session.cancel.is_cancelled() {
        return Err(Error::Interrupted);
    }
    if failures > 0 {
        return Err(Error::Several(format!("{failures} checks failed on {hosts} hosts; nothing was started")));
    }
    checked.sort_by_key(|segment| segment.content);
    Ok(checked)
}

async fn interrupted(session: &Session) {
    session.cancel.cancelled().await;
    tokio::time::sleep(STOP_PATIENCE).await;
}

#[derive(Default)]
struct HostOutcome {
    checked: Vec<Checked>,
    failures: Vec<(String, ErrorReport)>,
}

async fn check_host(session: &Session, job: HostJob) -> HostOutcome {
    let mut outcome = HostOutcome::default();
    let observer = |host: &HostName, entry: &JournalEntry| outcome.observe(host, &entry.event);
    let checks = fanout::run(vec![job.clone()], session.lease, observer, session.cancel.clone());
    let (verdict, ()) = tokio::join!(checks, warn_of_clock_skew(session, &job));
    if let (true, Some(Cause::Failure { host, content, error })) = (outcome.failures.is_empty(), verdict.cause) {
        outcome.failures.push((place(&host, content), error));
    }
    outcome
}

impl HostOutcome {
    fn observe(&mut self, host: &HostName, event: &Event) {
        match event {
            Event::SegmentDone { content, result: SegmentResult::Checked { server_version, free_bytes, .. } } => {
                let (server_version, free_bytes) = (*server_version, *free_bytes);
                self.checked.push(Checked { host: host.clone(), content: content.0, server_version, free_bytes });
            }
            Event::SegmentFailed { content, error } => {
                self.failures.push((place(host, Some(*content)), error.clone()));
            }
            Event::Warning { text, .. } => tracing::warn!(%host, "{text}"),
            _ => {}
        }
    }
}

fn place(host: &HostName, content: Option<ContentId>) -> String {
    match content {
        Some(content) => format!("host {host}, content {content}"),
        None => format!("host {host}"),
    }
}

/// A failure to connect is told by the check itself.
async fn warn_of_clock_skew(session: &Session, job: &HostJob) {
    let Ok(agent) = Agent::open(&job.host, &session.config).await else { return };
    let skew = Duration::from_nanos(agent.greeting().clock_skew_nanos.unsigned_abs());
    if skew > TOLERATED_SKEW {
        tracing::warn!(
            "the clock of host {} is {} s off; times in backups and logs will mislead",
            job.host.name(),
            skew.as_secs()
        );
    }
}
