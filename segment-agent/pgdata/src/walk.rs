//! What a backup does with an entry of the data directory, told by its name.

/// How an entry of the data directory goes into a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// As it is, with everything below it.
    Copy,
    /// A directory is kept, what it holds is not; anything but a directory is left out.
    DirectoryOnly,
    /// `pg_control`: taken after everything else, so that a restored copy never looks complete too early.
    Last,
}

/// Names that a server recreates, or that must not reach another server, at any depth (storage format, section 3.1).
const NOT_COPIED: [&str; 19] = [
    "log",
    "pg_log",
    "pg_xlog",
    "pg_wal",
    "pgsql_tmp",
    "postgresql.auto.conf.tmp",
    "postmaster.pid",
    "postmaster.opts",
    "recovery.conf",
    "pg_dynshmem",
    "pg_notify",
    "pg_replslot",
    "pg_serial",
    "pg_stat_tmp",
    "pg_snapshots",
    "pg_subtrans",
    "standby.signal",
    // What a restore by Damson leaves behind.
    ".damson-restore",
    ".damson-restored",
];

/// Treatment of the entry whose last path element is `basename`. The rule looks at nothing else, so that the set of
/// files equals that of backups already in a storage.
pub fn treatment(basename: &str) -> Treatment {
    match basename {
        "pg_control" => Treatment::Last,
        name if NOT_COPIED.contains(&name) => Treatment::DirectoryOnly,
        _ => Treatment::Copy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples() {
        assert_eq!(treatment("pg_control"), Treatment::Last);
        for name in ["pg_wal", "pg_xlog", "log", "postmaster.pid", "standby.signal", "pg_replslot"] {
            assert_eq!(treatment(name), Treatment::DirectoryOnly, "{name}");
        }
        for name in ["recovery.signal", "pg_internal.init", "base", "pg_stat", "backup_label", "PG_VERSION", "logs", ""]
        {
            assert_eq!(treatment(name), Treatment::Copy, "{name}");
        }
    }
}
