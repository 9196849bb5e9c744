//! Restoring a backup into a data directory.
//!
//! Plan, then do: everything that can be checked is checked before the first byte is written (sentinel, every part that the
//! metadata lists, every object of the manifest). Then parts and shared AO objects are unpacked side by side, `backup_label`
//! after them and `global/pg_control` last, so that no server starts on a directory that is not whole. While the work is under
//! way the directory holds a marker; a run that finds the marker of its own backup goes on where the last one stopped,
//! and keeps what is already there and proved by its hash.

mod documents;
mod extract;
mod finished;
mod plan;
pub(crate) mod proofs;
mod target;

use std::path::PathBuf;
use std::sync::Arc;

use formats::{BackupName, TablespaceSpec};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) use self::documents::open_manifest;
use self::extract::{Extraction, Job};
use self::proofs::Proofs;
use self::target::Target;
use crate::bridge::{Driver, joined, on_worker};
use crate::error::{Result, keep_first};
use crate::monitor::Monitor;
use crate::pool::Pool;
use crate::repository::Repository;

/// What to restore, and where to.
#[derive(Clone)]
pub struct FetchRequest {
    pub backup: BackupName,
    /// Created where it does not exist; must be empty, or hold an unfinished restore of the same backup.
    pub destination: PathBuf,
    /// Other places for the tablespaces than those recorded in the backup.
    pub tablespaces: Option<TablespaceSpec>,
    /// A segment of a cluster: its backup always comes with a list of append-optimized files, and without that list the
    /// files would be left out unnoticed.
    pub of_cluster: bool,
    /// Flush everything to the disk before success is reported.
    pub durable: bool,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    pub files: u64,
    pub bytes: u64,
    /// Files that an earlier, interrupted run had already restored.
    pub kept_files: u64,
    /// False for trees without a manifest: WAL-G stores nothing to check against.
    pub proved: bool,
}

/// Restores `request.backup`.
pub async fn fetch(
    repository: &Repository,
    request: &FetchRequest,
    pool: &Pool,
    monitor: &Monitor,
    cancel: &CancellationToken,
) -> Result<Fetched> {
    monitor.phase("reading the backup's metadata");
    let driver = Driver::current(repository.store());
    let plan = plan::make(repository, request, &driver, cancel).await?;
    let (proofs, finished) = recognise_finished_restore(request, plan.proofs, cancel).await?;
    if let Some(finished) = finished {
        monitor.phase("an earlier run restored everything");
        monitor.set_total(finished.bytes);
        monitor.add_done(finished.bytes);
        monitor.flush();
        return Ok(finished);
    }
    let (destination, tablespaces, durable) = (request.destination.clone(), plan.tablespaces.clone(), request.durable);
    let identity = format!("{} in {}", request.backup, repository.store().describe());
    let target = on_worker(move || Target::claim(destination, tablespaces, identity, durable)).await?;
    monitor.set_total(plan.uncompressed_bytes);
    let extraction =
        Extraction::new(repository, target, proofs, request.tablespaces.is_some(), driver, cancel, monitor);
    let extraction = Arc::new(recognise_finished_files(extraction).await?);
    monitor.phase("unpacking");
    run_jobs(&extraction, plan.jobs, pool).await?;
    // One after the other: the label, then the control file.
    for job in plan.last_jobs {
        run_jobs(&extraction, vec![job], pool).await?;
    }
    monitor.flush();
    monitor.phase("flushing to disk");
    on_worker(move || extraction.finish()).await
}

/// Gives the proofs back, and what was restored if nothing is left to do.
async fn recognise_finished_restore(
    request: &FetchRequest,
    proofs: Option<Proofs>,
    cancel: &CancellationToken,
) -> Result<(Option<Proofs>, Option<Fetched>)> {
    let Some(proofs) = proofs else { return Ok((None, None)) };
    let (root, without_map, cancel) = (request.destination.clone(), request.tablespaces.is_some(), cancel.clone());
    on_worker(move || {
        let finished = finished::recognise(&root, &proofs, without_map, &cancel)?;
        Ok((Some(proofs), finished))
    })
    .await
}

/// On a directory of an interrupted restore: finds what need not be fetched again.
async fn recognise_finished_files(extraction: Extraction) -> Result<Extraction> {
    if !extraction.target.is_resumed() {
        return Ok(extraction);
    }
    extraction.monitor.phase("checking what an earlier run restored");
    on_worker(move || {
        let mut extraction = extraction;
        extraction.recognise_finished_files()?;
        Ok(extraction)
    })
    .await
}

/// Runs `jobs` on the workers. The first failure stops the others.
async fn run_jobs(extraction: &Arc<Extraction>, jobs: Vec<Job>, pool: &Pool) -> Result<()> {
    let jobs = Arc::new(std::sync::Mutex::new(jobs.into_iter().collect::<std::collections::VecDeque<_>>()));
    let mut workers = JoinSet::new();
    for _ in 0..pool.workers() {
        let (extraction, jobs, pool) = (extraction.clone(), jobs.clone(), pool.clone());
        workers.spawn_blocking(move || extraction.run_worker(&jobs, &pool));
    }
    let mut failure = None;
    while let Some(outcome) = workers.join_next().await {
        if let Err(error) = joined(outcome) {
            extraction.cancel.cancel();
            keep_first(&mut failure, error);
        }
    }
    failure.map_or(Ok(()), Err)
}
