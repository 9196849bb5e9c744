//! The command line; each command's struct is its manual.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use segment_agent::cli::{Delete, RepositoryCommand};

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
    #[command(flatten)]
    Repository(RepositoryCommand),
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
}
