//! The command line; each command's struct is its manual.

use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand};
use segment_agent::cli::{Delete, DeltaFlags, RepositoryCommand};

/// Backs up and restores a PostgreSQL server, in WAL-G's storage format.
#[derive(Debug, Parser)]
#[command(name = "damson-pg", version)]
pub struct Arguments {
    /// Settings file (YAML, JSON, TOML or env); WALG_CONFIG_PATH is used where this is absent
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Back up the running server's data directory to the storage
    BackupPush {
        /// The data directory; must be the one that the server runs on
        db_directory: PathBuf,
        /// Never removed by a delete command
        #[arg(short, long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
        permanent: bool,
        /// Any JSON value, stored with the backup
        #[arg(long, value_name = "JSON")]
        add_user_data: Option<String>,
        #[command(flatten)]
        delta: DeltaFlags,
    },
    /// Restore a backup into a directory
    BackupFetch {
        /// Created if it does not exist; must be empty, or hold an unfinished restore of the same backup
        destination_directory: PathBuf,
        /// Name of the backup, or LATEST
        backup_name: Option<String>,
        /// Choose the backup with this user data
        #[arg(long, value_name = "JSON")]
        target_user_data: Option<String>,
        /// Restore these databases and tables alone: db, db/table (of public), db/schema.table or db/schema/table, divided by
        /// commas; * stands for any characters
        #[arg(long, value_name = "NAMES")]
        restore_only: Vec<String>,
        /// Accepted for the sake of scripts: deltas are put together in one way only
        #[arg(long, hide = true)]
        reverse_unpack: bool,
        /// Accepted for the sake of scripts: archives that hold nothing needed are never read
        #[arg(long, hide = true)]
        skip_redundant_tars: bool,
        /// JSON file that puts the tablespaces elsewhere
        #[arg(long, value_name = "FILE")]
        restore_spec: Option<PathBuf>,
    },
    /// Remove old backups and the log that they needed; nothing is changed without --confirm
    Delete(Delete),
    /// Archive a log file: archive_command = 'damson-pg wal-push %p'
    WalPush {
        /// Path of the file
        wal_filepath: PathBuf,
    },
    /// Fetch an archived log file: restore_command = 'damson-pg wal-fetch %f %p'; exit code 74 if there is none
    WalFetch {
        /// Name of the file
        wal_name: String,
        /// Where to write it; must not exist
        destination_filename: PathBuf,
    },
    #[command(flatten)]
    Repository(RepositoryCommand),
}
