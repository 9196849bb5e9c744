//! Backups of a directory of plain files, without a server, by what a real push does between starting and ending the backup.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::TimeDelta;
use codec::{Cipher, Compression, SecretKey};
use formats::{BackupName, Timestamp};
use pgclient::{ConnectOptions, StartedBackup, StoppedBackup};
use pgdata::{ClusterState, ControlFile, Lsn, SegmentSize, SystemIdentifier, TimelineId};
use storage::Store;
use tokio_util::sync::CancellationToken;

use crate::bridge::on_worker;
use crate::monitor::Monitor;
use crate::pool::Pool;
use crate::push::shared::{Found, Made, Shared, SharedLimits};
use crate::push::{Begun, Ended, PushRequest, base, documents, store_control_file, survey};
use crate::repository::Repository;

/// Files of a history are small; some are below it.
pub const THRESHOLD: u64 = 500;

pub struct Pushes {
    pub repository: Repository,
    pub runtime: tokio::runtime::Runtime,
    limits: SharedLimits,
    count: AtomicU64,
}

impl Pushes {
    /// Every other history is encrypted; some trust the times of files.
    pub fn new(seed: u64) -> Self {
        let cipher = match seed % 2 {
            0 => Cipher::None,
            _ => Cipher::Libsodium(SecretKey::from_setting("a key of thirty bytes or more...", "none").unwrap()),
        };
        let age = TimeDelta::hours(720);
        let limits = SharedLimits {
            ao_bytes: THRESHOLD,
            ao_age: age,
            pax_bytes: THRESHOLD,
            pax_age: age,
            trust_file_times: seed.is_multiple_of(3),
        };
        let repository = Repository::over(Store::memory(), Compression::Lz4, cipher);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { repository, runtime, limits, count: AtomicU64::new(1) }
    }

    /// Over another repository, with another threshold.
    pub fn over(self, repository: Repository, threshold: u64) -> Self {
        let limits = SharedLimits { ao_bytes: threshold, ..self.limits };
        Self { repository, limits, ..self }
    }

    /// Backs `data_dir` up, whose catalog says what is in `found`.
    pub fn push(&self, data_dir: &Path, found: Found, timeline: u32, parent: Option<&BackupName>) -> BackupName {
        self.runtime.block_on(self.push_files(data_dir, found, TimelineId(timeline), parent))
    }

    async fn push_files(
        &self,
        data_dir: &Path,
        found: Found,
        timeline: TimelineId,
        parent: Option<&BackupName>,
    ) -> BackupName {
        // Beyond the log of any backup that was there before.
        let number = 0x1000 + self.count.fetch_add(1, Ordering::Relaxed);
        let lsn = Lsn(number << 24);
        let backup = BackupName::new(format!("base_{:08X}{:016X}", timeline.0, number)).unwrap();
        let mut begun = begun(backup.clone(), lsn, timeline);
        let request = PushRequest {
            data_dir: data_dir.to_owned(),
            connect: ConnectOptions::from_lookup(&|_| None).unwrap(),
            backup_id: None,
            user_data: None,
            permanent: false,
            base: parent.cloned(),
            delta_count: None,
            part_bytes: 1 << 20,
            wait_for_archive: false,
            stop_timeout: None,
            with_names: false,
            shared: Some(self.limits),
        };
        let (monitor, cancel) = (Monitor::silent(), CancellationToken::new());
        let repository = &self.repository;
        if let Some(parent) = parent {
            begun.base =
                Some(base::load(repository, parent, &cancel).await.unwrap().map_err(|why| panic!("{why}")).unwrap());
        }
        let shared =
            Shared::prepare(repository, self.limits, found, timeline, parent, Made::default(), &monitor).await.unwrap();
        let pool = Pool::with_workers(2);
        let packing = survey(repository, &request, &mut begun, shared, &pool, &monitor, &cancel).await.unwrap();
        let packing = Arc::new(packing);
        let worker = packing.clone();
        on_worker(move || worker.run_worker()).await.unwrap();
        store_control_file(packing.clone(), data_dir.to_owned()).await.unwrap();
        let stopped = StoppedBackup { finish_lsn: lsn, label: None, tablespace_map: None };
        let ended = Ended { stopped, finish_time: Timestamp::default() };
        documents::store(&packing, &request, &begun, &ended, Default::default()).await.unwrap();
        backup
    }
}

fn begun(backup: BackupName, lsn: Lsn, timeline: TimelineId) -> Begun {
    let control = ControlFile {
        system_identifier: SystemIdentifier(1),
        control_version: 1300,
        catalog_version: 1,
        state: ClusterState::InProduction,
        checkpoint_lsn: lsn,
        redo_lsn: lsn,
        timeline,
        block_size: 8192,
        wal_block_size: 8192,
        wal_segment_size: SegmentSize::new(1 << 20).unwrap(),
        data_checksums: true,
    };
    Begun {
        backup,
        started: StartedBackup { start_lsn: lsn, wal_file_name: None, in_recovery: false },
        timeline,
        start_time: Timestamp::default(),
        control,
        version_num: 150_000,
        system_identifier: None,
        base: None,
    }
}
