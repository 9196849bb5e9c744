//! Settings of the server connection and its WAL: name, form, default, meaning.

use super::{Setting, both, per_kind};

#[rustfmt::skip]
pub const ROWS: &[Setting] = &[
    both("PGHOST", "string", "", "host, comma separated hosts, or socket directory"),
    both("PGPORT", "int", "", "server port"),
    both("PGUSER", "string", "", "user name (OS user when unset)"),
    both("PGPASSWORD", "string", "", "password").secret(),
    both("PGPASSFILE", "path", "", "password file (~/.pgpass when unset)"),
    both("PGDATABASE", "string", "", "database to connect to"),
    both("PGSSLMODE", "string", "", "as in libpq"),
    both("PGSSLCERT", "path", "", "as in libpq"),
    both("PGSSLKEY", "path", "", "as in libpq"),
    both("PGSSLROOTCERT", "path", "", "as in libpq"),
    both("PGAPPNAME", "string", "wal-g", "application_name of connections"),
    both("PGDATA", "path", "", "where to look for pg_wal / pg_xlog (walg_data folder with archive marks and WAL delta files); base of relative paths in daemon mode"),
    both("WALG_SLOTNAME", "string [0-9A-Za-z_]", "", "replication slot of wal-receive (walg when unset)"),
    per_kind("WALG_PG_WAL_SIZE", "int MiB", "16", "64", "WAL segment size; read from pg_control, refused if set to something else"),
    per_kind("WALG_PG_WAL_PAGE_SIZE", "int bytes", "8192", "32768", "WAL page size; read from pg_control, refused if set to something else"),
    per_kind("WALG_PG_BLOCK_SIZE", "int bytes", "8192", "32768", "data page size; read from pg_control, refused if set to something else"),
    both("WALG_PREFETCH_DIR", "path", "", "directory for prefetched WAL instead of the destination directory of wal-fetch"),
    both("PG_READY_RENAME", "bool", "", "after a background upload rename the .ready status file to .done"),
    per_kind("PGBACKREST_STANZA", "string", "main", "", "stanza read by the pgbackrest sub commands"),
    per_kind("WALG_ALIVE_CHECK_INTERVAL", "duration", "1m", "", "how often backup-push checks the server connection; a failed check ends the backup; 0 turns it off"),
    both("WALG_STOP_BACKUP_TIMEOUT", "duration", "", "statement timeout of the stop-backup call; none when unset or 0"),
    per_kind("WALG_DAEMON_WAL_UPLOAD_TIMEOUT", "duration", "60s", "", "limit for one WAL upload in daemon mode"),
    both("WALG_DISABLE_PARTIAL_RESTORE", "bool", "", "do not collect database and table names at backup-push (needed by --restore-only)"),
    per_kind("WALG_FAILOVER_STORAGES_CHECK_SIZE", "size", "1mb", "", "bytes of random data written by the read-write check; 0 = no write"),
    both("PGSERVICE", "string", "", "service of the service file to take connection settings from"),
    both("PGSERVICEFILE", "path", "", "service file (~/.pg_service.conf when unset)"),
    both("PGSYSCONFDIR", "path", "", "directory of the system-wide pg_service.conf"),
    both("PGHOSTADDR", "address", "", "numeric address to connect to in place of resolving PGHOST"),
    both("PGOPTIONS", "string", "", "start-up options of the session"),
    both("PGCONNECT_TIMEOUT", "int s", "", "limit for connecting to one host"),
    both("PGTARGETSESSIONATTRS", "enum any|read-write|read-only", "", "which of several hosts will do"),
];
