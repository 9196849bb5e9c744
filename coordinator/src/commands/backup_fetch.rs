//! `backup-fetch`: the cluster, restored.
//!
//! Unpack restores every segment's data directory on its host; prepare writes who may connect and how the servers recover.
//! Without `--start` nothing is started: the servers recover to the restore point when they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use coordinator::progress::Progress;
use coordinator::recovery;
use formats::server::Archiving;
use formats::wire::{SegmentResult, Work};
use segment_agent::lease::{self, Lease};

use super::cluster_start;
use super::restore_plan::plan;
pub use super::restore_plan::{Plan, choose_contents, lay_out};
use crate::cluster::Node;
use crate::error::{Error, Result};
use crate::session::Session;

/// Restore a backup to the places of a restore config, ready to be started
///
/// The restore config is a JSON file that gives every segment a place:
///
///   {"segments": {"-1": {"hostname": "mdw", "port": 5432, "data_dir": "/data/master"},
///                  "0": {"hostname": "sdw1", "port": 6000, "data_dir": "/data/primary0"}}}
///
/// A segment with tablespaces may say where they go, by oid or by the directory they had:
///
///   "0": {"hostname": ..., "data_dir": ..., "tablespaces": {"16500": "/fast/primary0"}}
///
/// "mirrors" (by content id) and "standby" beside "segments" name servers that --start makes of the restored ones.
///
/// A restore that was interrupted goes on where it stopped when the same command is run again.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct BackupFetch {
    /// Name of the backup, or LATEST
    pub backup_name: Option<String>,
    /// Where the segments are restored to
    #[arg(long, value_name = "FILE")]
    pub restore_config: Option<PathBuf>,
    /// Restore to the hosts, ports and directories that the backup was made from; stronger than a restore config
    #[arg(long)]
    pub in_place: bool,
    /// Choose the backup with this user data; WALG_FETCH_TARGET_USER_DATA is used where this is absent
    #[arg(long, value_name = "JSON")]
    pub target_user_data: Option<String>,
    /// Recover to this restore point instead of the backup's own
    #[arg(long, value_name = "NAME")]
    pub restore_point: Option<String>,
    /// Recover to the newest restore point at or before this time
    #[arg(long, value_name = "RFC3339")]
    pub restore_point_ts: Option<String>,
    /// Like --restore-point-ts, and says beforehand what lies between the point and this time
    #[arg(long, value_name = "RFC3339")]
    pub as_of: Option<String>,
    /// Restore these databases and tables alone: db, db/table (of public), db/schema.table or db/schema/table, divided by
    /// commas. * stands for any characters, everything else is meant literally. The system's databases and tables come
    /// along always, and with a table its partitions, indexes and TOAST; files of all others are left out
    #[arg(long, value_name = "NAMES")]
    pub restore_only: Vec<String>,
    /// Work on these segments alone
    #[arg(long, value_name = "N,N", value_delimiter = ',', allow_hyphen_values = true)]
    pub content_ids: Option<Vec<i32>>,
    /// What to do
    #[arg(long, value_name = "MODE", default_value = "default")]
    pub mode: String,
    /// Start the cluster when it is prepared, as cluster-start does
    #[arg(long)]
    pub start: bool,
}

/// The steps of a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Unpack, then prepare
    Default,
    /// Restore the data directories
    Unpack,
    /// Write pg_hba.conf and the recovery settings
    Prepare,
}

pub async fn run(session: &Session, arguments: BackupFetch) -> Result<()> {
    let mode = mode(&arguments.mode)?;
    let start = arguments.start;
    if start && mode == Mode::Unpack {
        return Err(Error::refused("--start needs prepared servers", "leave --mode unpack out"));
    }
    let plan = plan(session, arguments).await?;
    for warning in &plan.choice.warnings {
        tracing::warn!("{warning}");
    }
    if let Some(lost) = &plan.lost {
        tracing::info!("{lost}");
    }
    tracing::info!("backup {}, recovery to {}", plan.choice.backup, plan.choice.recovery_target);
    if mode != Mode::Prepare {
        let reading = format!("a restore of {}", plan.choice.backup);
        let term = lease::term(&session.settings)?;
        let lease = Lease::read(session.repository()?.store(), &reading, term).await;
        let unpacked = unpack(session, &plan).await;
        if let Some(lease) = lease {
            lease.release().await;
        }
        unpacked?;
    }
    if mode != Mode::Unpack {
        prepare(session, &plan).await?;
        tracing::info!(
            "{} segments are ready to be started; they recover to {}",
            plan.chosen.len(),
            plan.choice.recovery_target
        );
    }
    if start {
        let config = &plan.config;
        cluster_start::start_and_report(session, &plan.places, &plan.chosen, config, Archiving::Kept).await?;
    }
    Ok(())
}

fn mode(text: &str) -> Result<Mode> {
    Mode::from_str(text, false)
        .map_err(|_| Error::refused(format!("unknown backup fetch mode: {text}"), "use default, unpack or prepare"))
}

/// The text of a restore config.
pub fn read_restore_config(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| {
        let what = format!("reading the restore config {}: {error}", path.display());
        Error::refused(what, "give the path of the file with --restore-config")
    })
}

/// Restores the data directories; the bytes that were restored.
pub async fn unpack(session: &Session, plan: &Plan) -> Result<u64> {
    let sources = |nodes: &[&Node]| Work::Unpack {
        sources: nodes.iter().filter_map(|node| plan.sources.get(&node.content).cloned()).collect(),
        only: plan.only.clone(),
        tablespaces: plan.tablespaces_of(nodes),
    };
    let jobs = session.jobs_beside(&plan.chosen, &plan.coordinator, sources)?;
    let mut progress = Progress::new("restoring");
    let outcome = session.run(jobs, |host, entry| progress.observe(host, entry)).await;
    progress.finish();
    let mut restored = 0;
    for (content, result) in outcome?.results() {
        if let SegmentResult::Unpacked { files, bytes, kept_files } = result {
            restored += bytes;
            tracing::info!(
                "content {content}: {files} files, {bytes} bytes restored, {kept_files} of them kept from an earlier run"
            );
        }
    }
    Ok(restored)
}

/// Writes the recovery settings and pg_hba.conf.
pub async fn prepare(session: &Session, plan: &Plan) -> Result<()> {
    let recovery = recovery::recovery_settings(&plan.choice.sentinel, &plan.choice.recovery_target)?;
    let options = segment_agent::work::connect_options(&session.settings)?;
    let hosts: BTreeMap<_, _> = plan.places.iter().map(|node| (node.content, node.hostname.clone())).collect();
    let replicas = cluster_start::named_replicas(&plan.config).into_iter();
    let replicas: Vec<_> = replicas.map(|replica| (replica.content, replica.hostname)).collect();
    let pg_hba = recovery::pg_hba(&hosts, &replicas, options.user())?;
    let work = |_: &[&Node]| Work::Prepare { recovery: recovery.clone(), pg_hba: Some(pg_hba.clone()) };
    session.run(session.jobs_beside(&plan.chosen, &plan.coordinator, work)?, |_, _| {}).await?;
    Ok(())
}
