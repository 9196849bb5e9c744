//! Backup of one data directory: full, or a delta of an earlier backup.
//!
//! Order of what is stored: archive parts and shared files, `pg_control`, (the server leaves backup mode,) `backup_label`,
//! metadata.json, files_metadata.json, ao_files_metadata.json, pax_files_metadata.json, the manifest, and the sentinel last. A crash at any
//! point leaves no backup, or the whole one. What an unfinished push stored is removed when it fails.

mod base;
mod base_files;
mod begin;
mod catalog;
mod content;
mod documents;
mod names;
mod owners;
mod part;
mod queue;
mod route;
mod scan;
mod shared;
mod walk;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use codec::tar::Member;
use formats::wire::PushedSegment;
use formats::{BackupId, BackupName, Timestamp, layout};
use pgclient::{ConnectOptions, Server, StoppedBackup};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::begin::{Begun, begin, now, read_base, remove_folder};
use self::catalog::Catalog;
use self::part::{Packing, Part};
use self::queue::Queue;
use self::route::{Route, Routes};
use self::shared::{Found, Made, Shared};
use crate::bridge::{Driver, joined, on_worker};
use crate::data_dir;
use crate::error::{Error, Result, keep_first};
use crate::monitor::Monitor;
use crate::pool::Pool;
use crate::repository::Repository;

pub use self::shared::SharedLimits;

/// How often the session that holds the backup open is tried.
const ALIVE_CHECK: Duration = Duration::from_secs(10);

/// What to back up, and what to note about it.
pub struct PushRequest {
    pub data_dir: PathBuf,
    pub connect: ConnectOptions,
    /// Links a segment's backup to the cluster's.
    pub backup_id: Option<BackupId>,
    /// Stored with the backup; for a segment of a cluster it is made from `backup_id`.
    pub user_data: Option<serde_json::Value>,
    pub permanent: bool,
    /// The backup that this one is to be a delta of. Where it cannot serve, a full backup is made and a warning says why.
    pub base: Option<BackupName>,
    /// Deltas since the full backup, this one included; counted from the base where absent.
    pub delta_count: Option<u32>,
    /// Payload after which a part is closed.
    pub part_bytes: u64,
    /// Let the server wait until the log of the backup is archived; whoever proves that by other means need not.
    pub wait_for_archive: bool,
    /// The server may take so long to leave backup mode (WALG_STOP_BACKUP_TIMEOUT).
    pub stop_timeout: Option<Duration>,
    /// Collect names of tables, which partial restores need.
    pub with_names: bool,
    /// Which files of append-optimized tables are stored once for many backups; none for single servers.
    pub shared: Option<SharedLimits>,
}

/// What is known once the server has left it.
struct Ended {
    stopped: StoppedBackup,
    finish_time: Timestamp,
}

/// Backs up `request.data_dir` into `repository`. On failure or cancellation the server has left backup mode and nothing of
/// the backup is left in the storage, as far as both can still be reached.
pub async fn push(
    repository: &Repository,
    request: &PushRequest,
    pool: &Pool,
    monitor: &Monitor,
    cancel: &CancellationToken,
) -> Result<PushedSegment> {
    let server = Server::connect_segment(&request.connect).await?;
    data_dir::must_belong_to(&request.data_dir, &server).await?;
    let base = tokio::select! {
        base = read_base(repository, request, monitor, cancel) => base?,
        () = cancel.cancelled() => return Err(Error::Cancelled),
    };
    monitor.phase("starting the backup");
    let begun = tokio::select! {
        begun = begin(repository, request, &server, base, monitor) => begun,
        () = cancel.cancelled() => Err(Error::Cancelled),
    };
    let mut begun = match begun {
        Ok(begun) => begun,
        Err(error) => {
            leave_backup_mode(&server, monitor).await;
            return Err(error);
        }
    };
    let (backup, made) = (begun.backup.clone(), Made::default());
    let task = Task { repository, request, server: &server, pool, monitor, cancel };
    match task.carry_out(&mut begun, &made).await {
        Ok(pushed) => Ok(pushed),
        Err(error) => {
            leave_backup_mode(&server, monitor).await;
            discard(repository, &backup, &made, monitor).await;
            Err(error)
        }
    }
}

/// A backup under way.
struct Task<'a> {
    repository: &'a Repository,
    request: &'a PushRequest,
    server: &'a Server,
    pool: &'a Pool,
    monitor: &'a Monitor,
    cancel: &'a CancellationToken,
}

impl Task<'_> {
    async fn carry_out(&self, begun: &mut Begun, made: &Made) -> Result<PushedSegment> {
        let Self { repository, request, server, pool, monitor, cancel } = *self;
        let shared = tokio::select! {
            shared = self.shared_files(begun, made) => shared?,
            () = cancel.cancelled() => return Err(Error::Cancelled),
        };
        monitor.phase("copying");
        let packing = Arc::new(survey(repository, request, begun, shared, pool, monitor, cancel).await?);
        pack(&packing, server).await?;
        store_control_file(packing.clone(), request.data_dir.clone()).await?;
        monitor.phase("ending the backup");
        server.set_statement_timeout(request.stop_timeout).await?;
        let stopped = tokio::select! {
            stopped = server.stop_backup(request.wait_for_archive) => stopped?,
            () = cancel.cancelled() => return Err(Error::Cancelled),
        };
        monitor.flush();
        let names = match request.with_names {
            true => names::collect(&request.connect, server, monitor).await,
            false => Default::default(),
        };
        let ended = Ended { stopped, finish_time: now() };
        store_label(packing.clone(), &ended.stopped).await?;
        documents::store(&packing, request, begun, &ended, names).await
    }

    /// Finds the files of append-optimized tables and what earlier backups hold of them.
    async fn shared_files(&self, begun: &Begun, made: &Made) -> Result<Shared> {
        let Self { repository, request, server, monitor, .. } = *self;
        let (found, limits) = match request.shared {
            Some(limits) => (Found::ask(&request.connect, server).await?, limits),
            None => (Found::default(), SharedLimits::default()),
        };
        let parent = begun.base.as_ref().map(|base| &base.name);
        Shared::prepare(repository, limits, found, begun.timeline, parent, made.clone(), monitor).await
    }
}

async fn survey(
    repository: &Repository,
    request: &PushRequest,
    begun: &mut Begun,
    shared: Shared,
    pool: &Pool,
    monitor: &Monitor,
    cancel: &CancellationToken,
) -> Result<Packing> {
    let routes = Routes::new(begun.base.take(), begun.control.block_size);
    let data_dir = request.data_dir.clone();
    let queue = on_worker(move || Queue::survey(&data_dir)).await?;
    monitor.set_total(queue.total_bytes);
    Ok(Packing {
        repository: repository.clone(),
        driver: Driver::current(repository.store()),
        cancel: cancel.child_token(),
        pool: pool.clone(),
        monitor: monitor.clone(),
        backup: begun.backup.clone(),
        threshold_bytes: request.part_bytes,
        catalog: Mutex::new(Catalog::new(&begun.backup, &repository.cipher)?),
        queue,
        routes,
        shared,
        next_part: AtomicU32::new(1),
        uncompressed_bytes: AtomicU64::new(0),
        compressed_bytes: AtomicU64::new(0),
    })
}

/// Runs the workers to the end. The first failure stops the others; so does a lost session, without which the server is no
/// longer in backup mode.
async fn pack(packing: &Arc<Packing>, server: &Server) -> Result<()> {
    let mut workers = JoinSet::new();
    for _ in 0..packing.pool.workers() {
        let packing = packing.clone();
        workers.spawn_blocking(move || packing.run_worker());
    }
    let mut alive = tokio::time::interval(ALIVE_CHECK);
    let mut failure = None;
    loop {
        let outcome = tokio::select! {
            next = workers.join_next() => match next {
                None => break,
                Some(outcome) => joined(outcome),
            },
            _ = alive.tick() => server.ping().await.map_err(Error::from),
        };
        if let Err(error) = outcome {
            packing.cancel.cancel();
            keep_first(&mut failure, error);
        }
    }
    failure.map_or(Ok(()), Err)
}

async fn store_control_file(packing: Arc<Packing>, data_dir: PathBuf) -> Result<()> {
    on_worker(move || {
        let path = data_dir.join(walk::CONTROL_FILE.trim_start_matches('/'));
        let metadata = std::fs::symlink_metadata(&path).map_err(|error| Error::file("reading", &path, error))?;
        let entry = walk::Entry::new(walk::CONTROL_FILE.to_owned(), path, metadata);
        let _permit = packing.pool.acquire(&packing.cancel)?;
        let mut part = Part::create(&packing, &packing.repository.compression.file_name("pg_control.tar"))?;
        part.add(entry, &Route::Whole, &mut vec![0; 1 << 16], &mut owners::Owners::default())?;
        part.close_unlisted()
    })
    .await
}

/// The label that the server hands out when it leaves backup mode; servers with the exclusive mode alone keep it as a file in
/// the data directory, where the walk has found it.
async fn store_label(packing: Arc<Packing>, stopped: &StoppedBackup) -> Result<()> {
    let Some(label) = stopped.label.clone() else { return Ok(()) };
    let map = stopped.tablespace_map.clone().unwrap_or_default();
    on_worker(move || {
        let _permit = packing.pool.acquire(&packing.cancel)?;
        let mut part = Part::create(&packing, &packing.repository.compression.file_name("backup_label.tar"))?;
        for (name, content) in [("backup_label", label), ("tablespace_map", map)] {
            part.add_bytes(&Member::file(name, content.len() as u64), content.as_bytes())?;
        }
        part.close()
    })
    .await
}

/// Best effort, for the failure that brought us here is what counts.
async fn leave_backup_mode(server: &Server, monitor: &Monitor) {
    if let Err(error) = server.leave_backup_mode().await {
        monitor.warn(format!(
            "the server could not be told to leave backup mode; it does so when the session ends: {error}"
        ));
    }
}

async fn discard(repository: &Repository, backup: &BackupName, made: &Made, monitor: &Monitor) {
    let shared = std::mem::take(&mut *made.lock().unwrap_or_else(PoisonError::into_inner));
    let removed = async {
        // First of all: it may have been stored although that was reported as failed.
        repository.store().delete(&[layout::sentinel_key(backup)]).await?;
        repository.store().delete(&shared).await?;
        remove_folder(repository, backup).await
    };
    if let Err(error) = removed.await {
        monitor.warn(format!("what the unfinished backup {backup} had stored could not be removed: {error}"));
    }
}

impl Packing {
    fn pushed(&self, request: &PushRequest, begun: &Begun, ended: &Ended) -> PushedSegment {
        PushedSegment {
            backup_id: request.backup_id.clone().unwrap_or_else(|| BackupId::new("")),
            backup_name: begun.backup.clone(),
            timeline: begun.timeline,
            start_lsn: begun.started.start_lsn,
            finish_lsn: ended.stopped.finish_lsn,
            segment_size_bytes: begun.control.wal_segment_size.bytes(),
            system_identifier: begun.system_identifier,
            uncompressed_bytes: as_i64(self.uncompressed_bytes.load(Ordering::Relaxed)),
            compressed_bytes: as_i64(self.compressed_bytes.load(Ordering::Relaxed)),
            data_catalog_bytes: as_i64(self.queue.catalog_bytes),
            files: self.catalog.lock().unwrap_or_else(PoisonError::into_inner).file_count(),
            delta_from: self.routes.base().map(|base| base.name.clone()),
        }
    }
}

fn as_i64(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
