//! Restoring a backup into a data directory.
//!
//! Plan, then do: everything that can be checked is checked before the first byte is written (the sentinels of the chain, which
//! backup gives which file, every object that will be read). Then, from the full backup up to the delta that is asked for, parts
//! and shared objects are unpacked, those of one backup side by side; `backup_label` after them and `global/pg_control` last, so
//! that no server starts on a directory that is not whole. While the work is under way the directory holds a marker; a run that
//! finds the marker of its own restore goes on where the last one stopped, and keeps what is already there and proved by its
//! hash.

mod chain;
mod documents;
mod extract;
mod finished;
mod link;
mod open_file;
mod patch;
mod places;
mod plan;
pub(crate) mod proofs;
mod shared;
mod spaces;
mod target;
mod write;

use std::path::PathBuf;
use std::sync::Arc;

use formats::BackupName;
use formats::selection::Selector;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::chain::FetchPlan;
pub(crate) use self::documents::open_manifest;
use self::extract::{Extraction, Job};
use self::finished::{Expected, RECORD};
use self::plan::SharedWant;
use self::target::Target;
use crate::bridge::{Driver, joined, on_worker};
use crate::error::{Error, Result, keep_first};
use crate::monitor::Monitor;
use crate::pool::Pool;
use crate::repository::Repository;

pub use self::places::Places;

/// What to restore, and where to.
#[derive(Clone, Debug)]
pub struct FetchRequest {
    pub backup: BackupName,
    /// Created where it does not exist; must be empty, or hold an unfinished restore of the same backup.
    pub destination: PathBuf,
    pub tablespaces: Places,
    /// Databases and tables to restore; all if there are none.
    pub only: Vec<Selector>,
    /// A segment of a cluster: its backup always comes with a list of append-optimized files, and without that list the
    /// files would be left out unnoticed.
    pub of_cluster: bool,
    /// Flush everything to the disk before success is reported.
    pub durable: bool,
}

impl FetchRequest {
    /// The whole backup, tablespaces where they were.
    pub fn new(backup: BackupName, destination: PathBuf, of_cluster: bool) -> Self {
        Self { backup, destination, tablespaces: Places::Recorded, only: Vec::new(), of_cluster, durable: true }
    }

    /// What tells this restore from others into the same directory.
    fn identity(&self, repository: &Repository) -> String {
        let whole = format!("{} in {}", self.backup, repository.store().describe());
        if self.only.is_empty() {
            return whole;
        }
        let only: Vec<_> = self.only.iter().map(Selector::to_string).collect();
        format!("{} of {whole}", only.join(", "))
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    pub files: u64,
    pub bytes: u64,
    /// Files that an earlier, interrupted run had already restored.
    pub kept_files: u64,
    /// False for trees without a manifest: WAL-G stores no hash of files.
    pub proved: bool,
}

impl Fetched {
    fn with_kept_file(self, bytes: u64) -> Self {
        Self { files: self.files + 1, bytes: self.bytes + bytes, kept_files: self.kept_files + 1, ..self }
    }
}

/// Restores `request.backup` with all that it is based on.
pub async fn fetch(
    repository: &Repository,
    request: &FetchRequest,
    pool: &Pool,
    monitor: &Monitor,
    cancel: &CancellationToken,
) -> Result<Fetched> {
    monitor.phase("reading the backup's metadata");
    let driver = Driver::current(repository.store());
    let plan = chain::plan(repository, request, &driver, monitor, cancel).await?;
    let identity = request.identity(repository);
    let (plan, finished) = recognise_finished_restore(request, plan, &identity, cancel).await?;
    if let Some(finished) = finished {
        monitor.phase("an earlier run restored everything");
        monitor.set_total(finished.bytes);
        monitor.add_done(finished.bytes);
        monitor.flush();
        return Ok(finished);
    }
    let FetchPlan { levels, jobs, last_jobs, shared, tablespaces, total_bytes } = plan;
    let (destination, durable, owner) = (request.destination.clone(), request.durable, identity.clone());
    let target = on_worker(move || Target::claim(destination, tablespaces, owner, durable)).await?;
    monitor.set_total(total_bytes);
    let without_map = request.tablespaces.differ();
    let extraction = Extraction::new(repository, target, levels, without_map, driver, cancel, monitor);
    let extraction = Arc::new(recognise_finished_files(extraction, shared).await?);
    monitor.phase("unpacking");
    // Level by level: increments are put on what the backups below have given.
    for jobs in jobs {
        run_jobs(&extraction, jobs, pool).await?;
    }
    // One after the other: the label, then the control file.
    for job in last_jobs {
        if let Err(error) = run_jobs(&extraction, vec![job], pool).await {
            extraction.target.withhold_control_file();
            return Err(error);
        }
    }
    monitor.flush();
    monitor.phase("flushing to disk");
    let record = request.of_cluster.then_some(identity);
    on_worker(move || extraction.finish(record.as_deref())).await
}

/// Takes away what a finished restore left to be recognised by, once the directory is about to be changed.
pub fn forget_finished(data_dir: &std::path::Path) -> Result<()> {
    let path = data_dir.join(RECORD);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file("removing", path, error)),
        _ => Ok(()),
    }
}

/// Gives the plan back, and what was restored if nothing is left to do.
async fn recognise_finished_restore(
    request: &FetchRequest,
    plan: FetchPlan,
    identity: &str,
    cancel: &CancellationToken,
) -> Result<(FetchPlan, Option<Fetched>)> {
    let (root, without_map, cancel) = (request.destination.clone(), request.tablespaces.differ(), cancel.clone());
    let identity = identity.to_owned();
    on_worker(move || {
        let expected = Expected::of(&plan.levels, &plan.shared, without_map);
        let finished = finished::recognise(&root, &expected, &identity, &cancel)?;
        Ok((plan, finished))
    })
    .await
}

/// On a directory of an interrupted restore: finds what need not be fetched again.
async fn recognise_finished_files(extraction: Extraction, shared: Vec<SharedWant>) -> Result<Extraction> {
    if !extraction.target.is_resumed() {
        return Ok(extraction);
    }
    extraction.monitor.phase("checking what an earlier run restored");
    on_worker(move || {
        let mut extraction = extraction;
        extraction.recognise_finished_files(&shared)?;
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
