//! What a server version can do, by name.

/// Which functions start and stop a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupFunctions {
    /// Before 9.6: `pg_start_backup(label, fast)`; one backup per cluster, backup_label in the data directory.
    Exclusive,
    /// 9.6: `pg_stop_backup(false)`.
    NonExclusive,
    /// 10 to 14: `pg_stop_backup(false, wait)`.
    NonExclusiveWithWait,
    /// From 15 on: `pg_backup_start`, `pg_backup_stop(wait)`.
    Renamed,
}

/// Names of the WAL functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalFunctions {
    pub switch: &'static str,
    pub insert_position: &'static str,
    pub file_name: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    pub backup: BackupFunctions,
    /// `pg_control_system()` and its like (from 9.6 on).
    pub has_control_functions: bool,
    /// `pg_is_in_backup()` (until 14).
    pub has_is_in_backup: bool,
    pub wal: WalFunctions,
}

impl Capabilities {
    /// Of a `server_version_num`.
    pub fn of(_version_num: u32) -> Capabilities {
        todo!()
    }

    /// Only the exclusive form exists: it outlives the session, and pg_control and backup_label travel with the files.
    pub fn exclusive_backup_only(&self) -> bool {
        self.backup == BackupFunctions::Exclusive
    }
}
