//! The command line. Each command's arguments stand in the command's own file and are its manual.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use segment_agent::cli::Seg;

use crate::commands::{
    backup_fetch, backup_list, backup_mark, backup_push, backup_verify, check, check_ao_length, cluster_start, copy,
    create_restore_point, delete, drill, follow_primary, hosts, metrics, recovery_action, restore_point_list, status,
};

/// Backs up a Greenplum cluster to object storage and restores it, in WAL-G's storage format.
///
/// The settings file stands at the same path on every host of the cluster. A first backup, step by step:
///
///   damson --config /etc/damson.yaml hosts install     put the agent on every host
///   damson --config /etc/damson.yaml hosts check       see whether a backup would succeed
///   damson --config /etc/damson.yaml backup-push       back the cluster up
///   damson --config /etc/damson.yaml backup-list       see what there is
#[derive(Debug, Parser)]
#[command(name = "damson", version, verbatim_doc_comment)]
pub struct Arguments {
    /// Settings file (YAML, JSON, TOML or env), at the same path on every host; or set WALG_CONFIG_PATH
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Back up all primaries and the coordinator, and make them consistent with a restore point
    BackupPush(backup_push::BackupPush),
    /// Restore a backup to the places of a restore config, ready to be started
    BackupFetch(backup_fetch::BackupFetch),
    /// List the backups of the cluster, oldest first
    BackupList(backup_list::BackupList),
    /// Keep a backup of the cluster from being deleted, or no longer
    BackupMark(backup_mark::BackupMarkCluster),
    /// Read everything that a backup consists of, and say whether it can be restored
    BackupVerify(backup_verify::BackupVerify),
    /// List the restore points, those of backups included, oldest first
    RestorePointList(restore_point_list::RestorePointList),
    /// Create a point that the cluster can be restored to
    CreateRestorePoint(create_restore_point::CreateRestorePoint),
    /// Check that the files of append-optimized tables are as long as their catalogs say
    CheckAoAocsLength(check_ao_length::CheckAoLength),
    #[command(hide = true)]
    CheckAoAocsLengthSegment(check_ao_length::CheckAoLengthSegment),
    /// Copy backups to another storage, with all that is needed to restore them
    Copy(copy::CopyCluster),
    /// Try out whether a backup would succeed, and whether the log of every server arrives in the archive
    Check(check::Check),
    /// Show what runs on the hosts of the cluster and how far it is, and what ended within the last day
    Status(status::Status),
    /// Tell the age, number, sizes and proofs of backups, and lag and holes of every segment's archive, as OpenMetrics text
    Metrics(metrics::Metrics),
    /// Remove old backups, and the log that they needed; nothing is changed without --confirm
    Delete(delete::Delete),
    /// Start a restored cluster: recover, rewrite gp_segment_configuration to its new places, start, check
    ClusterStart(cluster_start::ClusterStart),
    /// Replay the log of a restored cluster up to a restore point, and shut it down there
    FollowPrimary(follow_primary::FollowPrimary),
    /// Set what restored servers do when they reach their restore point: promote, pause or shutdown
    RecoveryAction(recovery_action::RecoveryAction),
    /// Prove a backup: restore it to scratch places, start it, compare its rows, and clean up
    Drill(drill::Drill),
    /// Check the hosts of the cluster, or put the agent on them
    Hosts(hosts::Hosts),
    /// Commands of one segment: archive_command and restore_command, its backups and its archived log
    Seg(Seg),
}

impl Arguments {
    /// The settings file: `--config`, or that of a command with settings files of its own.
    pub fn config(&self) -> Option<PathBuf> {
        let own = match &self.command {
            Command::Copy(copy) => Some(copy.arguments.from.as_path()),
            Command::Seg(seg) => seg.own_config(),
            _ => None,
        };
        self.config.clone().or_else(|| own.map(PathBuf::from))
    }
}
