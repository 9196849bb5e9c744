//! The command line, as gpbackup, gprestore, gpbackup_helper and gpbackup_manager use it.
//!
//! Content ids come with literal double quotes around them, or bare; a bare `-1` is no option.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

/// Stores and restores the backups of gpbackup, in the storage and with the settings of damson.
///
/// gpbackup and gprestore run this program when they are given --plugin-config FILE; people run the last four commands by hand.
/// FILE is YAML:
///
///   executablepath: /usr/local/bin/gpbackup_damson_plugin
///   options:
///     config: /etc/damson.yaml          settings as damson reads them, or
///     WALG_S3_PREFIX: s3://bucket/path  any of them by name, or
///     bucket: bucket                    the options of gpbackup_s3_plugin: region, endpoint, bucket, folder,
///     folder: path                      aws_access_key_id, aws_secret_access_key, ...
#[derive(Debug, Parser)]
#[command(
    name = "gpbackup_damson_plugin",
    // gpbackup wants three words: name, `version`, number.
    version = concat!("version ", env!("CARGO_PKG_VERSION")),
    arg_required_else_help = true,
    rename_all = "snake_case",
    verbatim_doc_comment
)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
#[command(rename_all = "snake_case")]
pub enum Command {
    /// Check that backups can be stored
    SetupPluginForBackup(Hook),
    /// Check that backups can be read; creates the local directory
    SetupPluginForRestore(Hook),
    /// Nothing is left to clean up
    CleanupPluginForBackup(Hook),
    /// Nothing is left to clean up
    CleanupPluginForRestore(Hook),
    /// Store a file
    BackupFile(LocalFile),
    /// Restore a file to exactly this path
    RestoreFile(LocalFile),
    /// Store standard input
    BackupData(Data),
    /// Write what was stored to standard output
    RestoreData(Data),
    /// Write ranges of what was stored to standard output
    RestoreDataSubset(Subset),
    /// Store the files of a directory under its path
    #[command(alias = "backup_directory_parallel")]
    BackupDirectory(LocalFolder),
    /// Restore the files of a directory
    #[command(alias = "restore_directory_parallel")]
    RestoreDirectory(LocalFolder),
    /// List what is stored, with sizes
    ListDirectory(ListedFolder),
    /// Delete everything below a prefix
    DeleteDirectory(StoredFolder),
    /// Delete a backup; other backups stay
    DeleteBackup(Backup),
    /// Read everything of a backup and compare it with what was stored
    VerifyBackup(Backup),
    /// Print the version of the plugin API
    PluginApiVersion,
}

/// Arguments of the hooks. Old callers leave out scope and content id.
#[derive(Debug, Args)]
pub struct Hook {
    /// The plugin's configuration
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,
    /// Directory of the backup on this host
    #[arg(value_name = "LOCAL_DIRECTORY")]
    pub local_directory: PathBuf,
    /// master, coordinator, segment_host or segment
    #[arg(value_name = "SCOPE")]
    pub scope: Option<String>,
    /// Content id, with or without double quotes
    #[arg(value_name = "CONTENT_ID", allow_hyphen_values = true)]
    pub content_id: Option<String>,
}

#[derive(Debug, Args)]
pub struct LocalFile {
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,
    #[arg(value_name = "FILE")]
    pub path: PathBuf,
}

#[derive(Debug, Args)]
pub struct Data {
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,
    /// A path that ends in backups/DATE/TIMESTAMP/FILE
    #[arg(value_name = "KEY")]
    pub key: String,
}

#[derive(Debug, Args)]
pub struct Subset {
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,
    #[arg(value_name = "KEY")]
    pub key: String,
    /// File with `COUNT START END START END ...`
    #[arg(value_name = "OFFSETS_FILE")]
    pub offsets: PathBuf,
}

#[derive(Debug, Args)]
pub struct LocalFolder {
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,
    #[arg(value_name = "DIRECTORY")]
    pub path: PathBuf,
    /// Taken for compatibility; files go one after the other, the parts of each side by side
    #[arg(value_name = "WORKERS", hide = true)]
    pub workers: Option<u32>,
}

#[derive(Debug, Args)]
pub struct ListedFolder {
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,
    #[arg(value_name = "PREFIX")]
    pub prefix: Option<String>,
}

#[derive(Debug, Args)]
pub struct StoredFolder {
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,
    #[arg(value_name = "PREFIX")]
    pub prefix: String,
}

#[derive(Debug, Args)]
pub struct Backup {
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,
    /// 14 digits
    #[arg(value_name = "TIMESTAMP")]
    pub timestamp: String,
}

impl Command {
    /// As it is called.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SetupPluginForBackup(_) => "setup_plugin_for_backup",
            Self::SetupPluginForRestore(_) => "setup_plugin_for_restore",
            Self::CleanupPluginForBackup(_) => "cleanup_plugin_for_backup",
            Self::CleanupPluginForRestore(_) => "cleanup_plugin_for_restore",
            Self::BackupFile(_) => "backup_file",
            Self::RestoreFile(_) => "restore_file",
            Self::BackupData(_) => "backup_data",
            Self::RestoreData(_) => "restore_data",
            Self::RestoreDataSubset(_) => "restore_data_subset",
            Self::BackupDirectory(_) => "backup_directory",
            Self::RestoreDirectory(_) => "restore_directory",
            Self::ListDirectory(_) => "list_directory",
            Self::DeleteDirectory(_) => "delete_directory",
            Self::DeleteBackup(_) => "delete_backup",
            Self::VerifyBackup(_) => "verify_backup",
            Self::PluginApiVersion => "plugin_api_version",
        }
    }

    /// Path of the plugin's configuration.
    pub fn config(&self) -> &Path {
        match self {
            Self::SetupPluginForBackup(hook)
            | Self::SetupPluginForRestore(hook)
            | Self::CleanupPluginForBackup(hook)
            | Self::CleanupPluginForRestore(hook) => &hook.config,
            Self::BackupFile(file) | Self::RestoreFile(file) => &file.config,
            Self::BackupData(data) | Self::RestoreData(data) => &data.config,
            Self::RestoreDataSubset(subset) => &subset.config,
            Self::BackupDirectory(folder) | Self::RestoreDirectory(folder) => &folder.config,
            Self::ListDirectory(folder) => &folder.config,
            Self::DeleteDirectory(folder) => &folder.config,
            Self::DeleteBackup(backup) | Self::VerifyBackup(backup) => &backup.config,
            Self::PluginApiVersion => Path::new(""),
        }
    }
}
