//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Measures the product beside other programs; see `tests/bench/run`.
#[derive(Debug, Parser)]
#[command(name = "rig-bench")]
pub struct Arguments {
    /// Counted runs of every program
    #[arg(default_value_t = 5)]
    pub runs: usize,
    /// Size of the server's data, in MB
    #[arg(long, value_name = "MB", default_value_t = 1500)]
    pub size: u64,
    /// Write-ahead log files (16 MiB each) that are pushed and fetched
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    pub wal_files: usize,
    /// What to measure; everything if absent
    #[arg(long, value_name = "WORK", value_delimiter = ',')]
    pub only: Vec<Work>,
    /// A WAL-G for PostgreSQL to measure beside
    #[arg(long, value_name = "PATH")]
    pub wal_g: Option<PathBuf>,
    /// A walrus to measure beside; it takes WAL-G's commands and settings
    #[arg(long, value_name = "PATH")]
    pub walrus: Option<PathBuf>,
    /// A WAL-G for Greenplum to measure beside
    #[arg(long, value_name = "PATH")]
    pub wal_g_gp: Option<PathBuf>,
    /// A gpbackup_s3_plugin to measure beside
    #[arg(long, value_name = "PATH")]
    pub s3_plugin: Option<PathBuf>,
    /// Write all figures to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Work {
    /// Full backup of one server
    Backup,
    /// Restore of that backup
    Restore,
    /// WAL files stored, a process each
    WalPush,
    /// WAL files fetched in a row, a process each
    WalFetch,
    /// The programs started to print their help
    Start,
    /// Delta of a full backup with every fiftieth page changed since
    Delta,
    /// Restore of that full backup with its delta
    Chain,
    /// Instructions for each page that a delta looks at
    Scan,
    /// Backup of a stand-in cluster of small segments
    Cluster,
    /// The agent of one of its hosts meanwhile
    Agent,
    /// List of 1,000 backups of a cluster
    List,
    /// Plan of a deletion among 1,000 backups of a cluster
    Plan,
    /// Streams stored by gpbackup's plugin, one at a time
    PluginStore,
    /// The same streams, given back
    PluginRestore,
    /// Eight streams at once
    PluginStore8,
    /// The same eight, given back at once
    PluginRestore8,
    /// The coordinator's part of a simulated cluster of 1,000 segments on 100 hosts
    Fanout,
}

impl Work {
    /// In this order, for a restore needs a backup, and the delta changes the data.
    pub const SINGLE_SERVER: [Work; 7] =
        [Work::Backup, Work::Restore, Work::WalPush, Work::WalFetch, Work::Start, Work::Delta, Work::Chain];

    pub const PLUGIN: [Work; 4] = [Work::PluginStore, Work::PluginRestore, Work::PluginStore8, Work::PluginRestore8];
}

impl Arguments {
    pub fn does_any(&self, works: &[Work]) -> bool {
        self.only.is_empty() || self.only.iter().any(|work| works.contains(work))
    }
}
