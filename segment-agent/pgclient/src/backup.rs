//! Backup mode.

use pgdata::Lsn;

use crate::{Error, Server};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedBackup {
    pub start_lsn: Lsn,
    /// WAL file of `start_lsn`; `None` on a standby, which cannot say.
    pub wal_file_name: Option<String>,
    pub in_recovery: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoppedBackup {
    pub finish_lsn: Lsn,
    /// Content of `backup_label`; `None` where the server writes the file itself (exclusive mode).
    pub label: Option<String>,
    /// Content of `tablespace_map`; empty without tablespaces, `None` as with `label`.
    pub tablespace_map: Option<String>,
}

impl Server {
    /// Starts a backup with a fast checkpoint.
    pub async fn start_backup(&self, _label: &str) -> Result<StartedBackup, Error> {
        todo!()
    }

    /// Ends it. `wait`: until the server has archived the WAL it needs (9.4 to 9.6 always wait).
    pub async fn stop_backup(&self, _wait: bool) -> Result<StoppedBackup, Error> {
        todo!()
    }

    /// Gives a running backup up, without waiting for the archive. No error if none runs.
    pub async fn leave_backup_mode(&self) -> Result<(), Error> {
        todo!()
    }

    /// True if an exclusive backup runs, whoever started it. Always false from 15 on, which has none.
    pub async fn is_in_backup(&self) -> Result<bool, Error> {
        todo!()
    }
}
