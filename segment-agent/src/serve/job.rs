//! The process of a job: locks the job's directory, does the work, writes the journal.

use std::future::Future;
use std::time::Duration;

use formats::wire::{ErrorReport, Event, JobSpec, Outcome};
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

use super::job_directory::{JobDirectory, JobOrder};
use super::journal::Journal;
use super::watch::Watch;
use crate::error::Result;

/// How long cancelled work may take to leave backup mode and to remove unfinished uploads.
const GRACE: Duration = Duration::from_secs(30);

/// Runs the job of `directory` to its end.
///
/// `execute` does what the specification says, reports to the journal, and returns soon after its token is cancelled; work
/// that does not is abandoned after 30 s. The last event of the journal is `Finished`, whatever happens to the work. An
/// error means that there was nothing to run: another process has the job, or it has run already.
///
/// Threads that abandoned work left behind may still run on return: the caller ends the process.
pub async fn run_job<E, W>(directory: &JobDirectory, execute: E) -> Result<Outcome>
where
    E: FnOnce(JobSpec, Journal, CancellationToken) -> W + Send + 'static,
    W: Future<Output = Outcome> + Send,
{
    run_with_grace(directory, GRACE, execute).await
}

async fn run_with_grace<E, W>(directory: &JobDirectory, grace: Duration, execute: E) -> Result<Outcome>
where
    E: FnOnce(JobSpec, Journal, CancellationToken) -> W + Send + 'static,
    W: Future<Output = Outcome> + Send,
{
    let lock = directory.lock()?;
    let journal = Journal::create(&directory.journal_path())?;
    journal.record(Event::Started { pid: std::process::id() });
    let outcome = match prepare(directory, &journal) {
        Ok((order, watch)) => supervise(order.spec, watch, journal.clone(), grace, execute).await,
        Err(error) => Outcome::Failed { error: error.report() },
    };
    journal.record(Event::Finished { outcome: outcome.clone(), peak_memory_bytes: peak_memory_bytes() });
    drop(lock);
    Ok(outcome)
}

fn prepare(directory: &JobDirectory, journal: &Journal) -> Result<(JobOrder, Watch)> {
    let order = directory.order()?;
    let watch = Watch::start(directory, Duration::from_secs(order.lease_seconds), journal.broken())?;
    Ok((order, watch))
}

async fn supervise<E, W>(spec: JobSpec, mut watch: Watch, journal: Journal, grace: Duration, execute: E) -> Outcome
where
    E: FnOnce(JobSpec, Journal, CancellationToken) -> W + Send + 'static,
    W: Future<Output = Outcome> + Send,
{
    let cancel = CancellationToken::new();
    let token = cancel.clone();
    let mut work = tokio::spawn(async move { execute(spec, journal, token).await });
    tokio::select! {
        ended = &mut work => outcome_of(ended),
        why = watch.reason_to_stop() => {
            tracing::warn!("stopping the job: {why}");
            cancel.cancel();
            stop(work, why, grace).await
        }
    }
}

/// Waits for cancelled work. Work that got done all the same is done.
async fn stop(mut work: JoinHandle<Outcome>, why: String, grace: Duration) -> Outcome {
    match tokio::time::timeout(grace, &mut work).await {
        Ok(ended) => match outcome_of(ended) {
            Outcome::Done => Outcome::Done,
            Outcome::Cancelled { .. } => Outcome::Cancelled { why },
            Outcome::Failed { error } | Outcome::Died { error } => {
                Outcome::Cancelled { why: format!("{why}; on stopping: {}", error.message) }
            }
        },
        Err(_) => {
            work.abort();
            let left = "servers may be left in backup mode and uploads unfinished";
            Outcome::Cancelled { why: format!("{why}; the work did not stop within {} s: {left}", grace.as_secs()) }
        }
    }
}

fn outcome_of(ended: std::result::Result<Outcome, JoinError>) -> Outcome {
    ended.unwrap_or_else(|error| {
        let message = format!("the agent failed because of a defect of its own: {error}");
        let remedy = Some("report it with the agent's log; the log stands beside the journal of the job".to_owned());
        Outcome::Failed { error: ErrorReport { message, remedy } }
    })
}

/// The largest resident set of this process so far; 0 where the system does not tell.
fn peak_memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kibibytes.unwrap_or(0).saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use formats::wire::{JobId, JournalEntry, Work};

    use super::super::StateDirectory;
    use super::*;

    fn job(lease_seconds: u64) -> (tempfile::TempDir, JobDirectory) {
        let folder = tempfile::tempdir().unwrap();
        let spec = JobSpec { config: PathBuf::from("/c"), segments: Vec::new(), work: Work::SwitchWal };
        let order = JobOrder { job: JobId("a".to_owned()), lease_seconds, spec };
        let job = StateDirectory::new(folder.path()).create(&order).unwrap().unwrap();
        (folder, job)
    }

    fn last_event(job: &JobDirectory) -> Event {
        let text = std::fs::read_to_string(job.journal_path()).unwrap();
        serde_json::from_str::<JournalEntry>(text.lines().last().unwrap()).unwrap().event
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn work_that_ignores_its_token_is_abandoned_after_the_grace() {
        let (_folder, job) = job(3600);
        job.request_cancel().unwrap();
        let deaf = |_, _, _| async { std::future::pending().await };
        let outcome = run_with_grace(&job, Duration::from_millis(50), deaf).await.unwrap();
        let Outcome::Cancelled { why } = &outcome else { panic!("{outcome:?}") };
        assert!(why.starts_with("the coordinator asked for it; the work did not stop within 0 s"), "{why}");
        let Event::Finished { outcome: written, peak_memory_bytes } = last_event(&job) else { panic!() };
        assert_eq!(written, outcome);
        assert!(peak_memory_bytes > 1 << 20, "{peak_memory_bytes}");
        assert!(!job.is_alive().unwrap());
    }

    #[tokio::test]
    async fn a_panic_of_the_work_is_an_outcome() {
        let (_folder, job) = job(3600);
        let outcome = run_job(&job, |_, _, _| async { panic!("a defect") }).await.unwrap();
        assert!(matches!(&outcome, Outcome::Failed { error } if error.message.contains("a defect")), "{outcome:?}");
    }

    #[tokio::test]
    async fn a_failure_while_stopping_is_told() {
        let (_folder, job) = job(1);
        let outcome = run_job(&job, |_, _, cancel: CancellationToken| async move {
            cancel.cancelled().await;
            Outcome::Failed { error: ErrorReport { message: "the server is gone".to_owned(), remedy: None } }
        });
        let why = "no sign of life from the coordinator for 1 s; on stopping: the server is gone".to_owned();
        assert_eq!(outcome.await.unwrap(), Outcome::Cancelled { why });
    }

    #[tokio::test]
    async fn a_job_runs_once() {
        let (_folder, job) = job(3600);
        run_job(&job, |_, _, _| async { Outcome::Done }).await.unwrap();
        assert!(run_job(&job, |_, _, _| async { Outcome::Done }).await.is_err());
    }
}
