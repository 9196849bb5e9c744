//! Preflight: every host and segment is checked at once, and every failure is told, not the first alone.

use std::time::Duration;

use coordinator::fanout::{self, HostJob};
use coordinator::host::{Agent, HostName};
use formats::wire::{ErrorReport, Event, JournalEntry, SegmentResult, Work};
use futures::future::join_all;

use crate::cluster::Node;
use crate::error::{Error, Result};
use crate::session::Session;

/// Clocks may differ by this much before a person is told.
const TOLERATED_SKEW: Duration = Duration::from_secs(10);

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
    let outcomes = join_all(jobs.into_iter().map(|job| check_host(session, job))).await;
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
    if outcome.failures.is_empty() {
        let report = verdict.report().map(|report| (String::from("preflight"), report));
        outcome.failures.extend(report);
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
                self.failures.push((format!("host {host}, content {}", content.0), error.clone()));
            }
            Event::Warning { text, .. } => tracing::warn!(%host, "{text}"),
            _ => {}
        }
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
