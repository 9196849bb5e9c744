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
    /// What a standby has received, and what it has replayed.
    pub receive_position: &'static str,
    pub replay_position: &'static str,
    pub file_name: &'static str,
    pub replayed: &'static str,
    pub is_paused: &'static str,
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

const XLOG: WalFunctions = WalFunctions {
    switch: "pg_switch_xlog",
    insert_position: "pg_current_xlog_insert_location",
    receive_position: "pg_last_xlog_receive_location",
    replay_position: "pg_last_xlog_replay_location",
    file_name: "pg_xlogfile_name",
    replayed: "pg_last_xlog_replay_location",
    is_paused: "pg_is_xlog_replay_paused",
};
const WAL: WalFunctions = WalFunctions {
    switch: "pg_switch_wal",
    insert_position: "pg_current_wal_insert_lsn",
    receive_position: "pg_last_wal_receive_lsn",
    replay_position: "pg_last_wal_replay_lsn",
    file_name: "pg_walfile_name",
    replayed: "pg_last_wal_replay_lsn",
    is_paused: "pg_is_wal_replay_paused",
};

impl Capabilities {
    /// Of a `server_version_num`.
    pub fn of(version_num: u32) -> Capabilities {
        Capabilities {
            backup: match version_num {
                ..90600 => BackupFunctions::Exclusive,
                90600..100000 => BackupFunctions::NonExclusive,
                100000..150000 => BackupFunctions::NonExclusiveWithWait,
                150000.. => BackupFunctions::Renamed,
            },
            has_control_functions: version_num >= 90600,
            has_is_in_backup: version_num < 150000,
            wal: if version_num < 100000 { XLOG } else { WAL },
        }
    }

    /// Only the exclusive form exists: it outlives the session, and backup_label stands in the data directory.
    pub fn exclusive_backup_only(&self) -> bool {
        self.backup == BackupFunctions::Exclusive
    }

    /// The call that starts a backup with a fast checkpoint; `label` is a quoted literal.
    pub(crate) fn start_call(&self, label: &str) -> String {
        match self.backup {
            BackupFunctions::Exclusive => format!("pg_catalog.pg_start_backup({label}, true)"),
            BackupFunctions::NonExclusive | BackupFunctions::NonExclusiveWithWait => {
                format!("pg_catalog.pg_start_backup({label}, true, false)")
            }
            BackupFunctions::Renamed => format!("pg_catalog.pg_backup_start({label}, true)"),
        }
    }

    /// The query that stops it: LSN, content of backup_label, content of tablespace_map.
    pub(crate) fn stop_query(&self, wait: bool) -> String {
        let call = match self.backup {
            BackupFunctions::Exclusive => return "SELECT pg_catalog.pg_stop_backup()::text, NULL, NULL".to_owned(),
            BackupFunctions::NonExclusive => "pg_stop_backup(false)".to_owned(),
            BackupFunctions::NonExclusiveWithWait => format!("pg_stop_backup(false, {wait})"),
            BackupFunctions::Renamed => format!("pg_backup_stop({wait})"),
        };
        format!("SELECT lsn::text, labelfile, spcmapfile FROM pg_catalog.{call}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_has_its_functions() {
        let greenplum6 = Capabilities::of(90426);
        assert!(greenplum6.exclusive_backup_only() && !greenplum6.has_control_functions && greenplum6.has_is_in_backup);
        for (version, switch, start, stop) in [
            (90426, "pg_switch_xlog", "pg_catalog.pg_start_backup('l', true)", "pg_stop_backup()::text, NULL, NULL"),
            (90624, "pg_switch_xlog", "pg_catalog.pg_start_backup('l', true, false)", "pg_stop_backup(false)"),
            (120012, "pg_switch_wal", "pg_catalog.pg_start_backup('l', true, false)", "pg_stop_backup(false, true)"),
            (150000, "pg_switch_wal", "pg_catalog.pg_backup_start('l', true)", "pg_backup_stop(true)"),
        ] {
            let capabilities = Capabilities::of(version);
            assert_eq!((capabilities.wal.switch, capabilities.start_call("'l'").as_str()), (switch, start));
            assert!(capabilities.stop_query(true).ends_with(stop), "{version}");
        }
    }
}
