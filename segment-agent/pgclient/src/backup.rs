//! Backup mode.

use std::time::Duration;

use pgdata::Lsn;

use crate::{Error, Server, quote_literal};

/// SQLSTATE of "a backup is not in progress".
const NOT_IN_PREREQUISITE_STATE: &str = "55000";

/// How long leaving the exclusive mode may wait for the archive; the mode itself ends before that wait.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(60);

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
    pub async fn start_backup(&self, label: &str) -> Result<StartedBackup, Error> {
        let what = "starting the backup";
        let capabilities = self.capabilities();
        let sql = format!(
            "SELECT lsn::text, pg_catalog.pg_is_in_recovery(), \
             CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL ELSE pg_catalog.{}(lsn) END FROM {} AS lsn",
            capabilities.wal.file_name,
            capabilities.start_call(&quote_literal(label)),
        );
        let row = self.only_row(what, &sql, 3).await?;
        let mut columns = row.into_iter();
        let mut next = || columns.next().flatten();
        Ok(StartedBackup {
            start_lsn: self.parsed(what, next())?,
            in_recovery: self.truth(what, next())?,
            wal_file_name: next(),
        })
    }

    /// Ends it. `wait`: until the server has archived the WAL it needs (before 10 it always waits).
    pub async fn stop_backup(&self, wait: bool) -> Result<StoppedBackup, Error> {
        let what = "stopping the backup";
        let row = self.only_row(what, &self.capabilities().stop_query(wait), 3).await?;
        let mut columns = row.into_iter();
        let mut next = || columns.next().flatten();
        let finish_lsn = self.parsed(what, next())?;
        let label = next();
        // Without tablespaces the server answers NULL or an empty text, by version.
        let tablespace_map = next().or_else(|| label.as_ref().map(|_| String::new()));
        if label.is_none() && !self.capabilities().exclusive_backup_only() {
            return Err(self.unexpected(what, "no backup_label".to_owned()));
        }
        Ok(StoppedBackup { finish_lsn, label, tablespace_map })
    }

    /// Gives a running backup up, without waiting for the archive. No error if none runs. In exclusive mode it ends the
    /// backup of whoever started it.
    pub async fn leave_backup_mode(&self) -> Result<(), Error> {
        let exclusive = self.capabilities().exclusive_backup_only();
        if exclusive {
            self.set_statement_timeout(Some(LEAVE_TIMEOUT)).await?;
        }
        let stopped = self.stop_backup(false).await;
        if exclusive {
            self.set_statement_timeout(None).await?;
        }
        match stopped {
            Ok(_) => Ok(()),
            Err(Error::Query { sqlstate, .. }) if sqlstate == NOT_IN_PREREQUISITE_STATE => Ok(()),
            Err(_) if exclusive && !self.is_in_backup().await? => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// True if an exclusive backup runs, whoever started it. Always false from 15 on, which has none.
    pub async fn is_in_backup(&self) -> Result<bool, Error> {
        if !self.capabilities().has_is_in_backup {
            return Ok(false);
        }
        let what = "asking for a running backup";
        let value = self.value(what, "SELECT pg_catalog.pg_is_in_backup()").await?;
        self.truth(what, value)
    }
}
