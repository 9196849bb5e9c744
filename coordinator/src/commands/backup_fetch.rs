//! `backup-fetch`: the cluster, restored.
//!
//! Unpack restores every segment's data directory on its host; prepare writes who may connect and how the servers recover.
//! Without `--start` nothing is started: the servers recover to the restore point when they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use coordinator::catalog::{self, Choice, Target};
use coordinator::progress::Progress;
use coordinator::recovery;
use formats::cluster::SegmentMetadata;
use formats::server::Archiving;
use formats::wire::{SegmentResult, Work};
use formats::{BackupName, ContentId};
use restore_configs::RestoreConfig;
use segment_agent::lease::{self, Lease};

use super::cluster_start;
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
/// A restore that was interrupted goes on where it stopped when the same command is run again.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct BackupFetch {
    /// Name of the backup, or LATEST
    backup_name: Option<String>,
    /// Where the segments are restored to
    #[arg(long, value_name = "FILE")]
    restore_config: Option<PathBuf>,
    /// Choose the backup with this user data; WALG_FETCH_TARGET_USER_DATA is used where this is absent
    #[arg(long, value_name = "JSON")]
    target_user_data: Option<String>,
    /// Recover to this restore point instead of the backup's own
    #[arg(long, value_name = "NAME")]
    restore_point: Option<String>,
    /// Recover to the newest restore point at or before this time
    #[arg(long, value_name = "RFC3339")]
    restore_point_ts: Option<String>,
    /// Work on these segments alone
    #[arg(long, value_name = "N,N", value_delimiter = ',', allow_hyphen_values = true)]
    content_ids: Option<Vec<i32>>,
    /// What to do
    #[arg(long, value_name = "MODE", default_value = "default")]
    mode: String,
    /// Start the cluster when it is prepared, as cluster-start does
    #[arg(long)]
    start: bool,
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

/// What is restored, and where to.
pub struct Plan {
    pub choice: Choice,
    config: RestoreConfig,
    /// All places of the restore config that belong to a segment of the backup.
    pub places: Vec<Node>,
    /// Those that this run works on, with the backup each is restored from.
    pub chosen: Vec<Node>,
    sources: BTreeMap<ContentId, BackupName>,
    /// Host name of the coordinator's place.
    coordinator: String,
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

async fn plan(session: &Session, arguments: BackupFetch) -> Result<Plan> {
    let user_data =
        arguments.target_user_data.or_else(|| session.settings.get("WALG_FETCH_TARGET_USER_DATA").map(str::to_owned));
    let target = Target::from_arguments(&catalog::Arguments {
        backup: arguments.backup_name,
        user_data,
        restore_point: arguments.restore_point,
        restore_point_ts: arguments.restore_point_ts,
    })?;
    let Some(path) = arguments.restore_config else {
        return Err(Error::refused(
            "no restore config is given",
            "add --restore-config FILE; `damson backup-fetch --help` shows its form",
        ));
    };
    let config = RestoreConfig::parse(&read_restore_config(&path)?)?;
    let choice = catalog::choose(session.repository()?.store(), &target).await?;
    lay_out(choice, config, arguments.content_ids.as_deref())
}

/// Every primary of the backup gets its place.
pub fn lay_out(choice: Choice, config: RestoreConfig, content_ids: Option<&[i32]>) -> Result<Plan> {
    let (primaries, others): (Vec<_>, Vec<_>) =
        choice.sentinel.segments.iter().partition(|segment| segment.role == "p");
    for segment in others {
        tracing::warn!(
            "content {} with role {} is skipped: only primaries are restored",
            segment.content_id,
            segment.role
        );
    }
    let contents: Vec<i32> = primaries.iter().map(|segment| segment.content_id.0).collect();
    let placed = config.for_contents(&contents)?;
    let node = |(segment, (_, place)): (&&SegmentMetadata, (i32, &restore_configs::Place))| Node {
        db_id: segment.db_id,
        content: segment.content_id,
        hostname: place.hostname.clone(),
        port: place.port,
        data_dir: place.data_dir.clone(),
    };
    let places: Vec<Node> = primaries.iter().zip(placed).map(node).collect();
    let sources = primaries.iter().map(|segment| (segment.content_id, segment.backup_name.clone())).collect();
    let chosen = choose_contents(&places, content_ids)?;
    let coordinator =
        places.iter().find(|node| node.is_coordinator()).map(|node| node.hostname.clone()).unwrap_or_default();
    Ok(Plan { choice, config, places, chosen, sources, coordinator })
}

pub fn choose_contents(places: &[Node], content_ids: Option<&[i32]>) -> Result<Vec<Node>> {
    let Some(wanted) = content_ids else { return Ok(places.to_vec()) };
    if let Some(unknown) = wanted.iter().find(|id| !places.iter().any(|node| node.content.0 == **id)) {
        let known: Vec<_> = places.iter().map(|node| node.content.to_string()).collect();
        return Err(Error::refused(
            format!("the backup has no content id {unknown}"),
            format!("it has {}", known.join(", ")),
        ));
    }
    Ok(places.iter().filter(|node| wanted.contains(&node.content.0)).cloned().collect())
}

/// Restores the data directories; the bytes that were restored.
pub async fn unpack(session: &Session, plan: &Plan) -> Result<u64> {
    let sources = |nodes: &[&Node]| Work::Unpack {
        sources: nodes.iter().filter_map(|node| plan.sources.get(&node.content).cloned()).collect(),
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
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|user| user.name);
    let hosts: BTreeMap<_, _> = plan.places.iter().map(|node| (node.content, node.hostname.clone())).collect();
    let pg_hba = recovery::pg_hba(&hosts, user.as_deref().unwrap_or("gpadmin"))?;
    let work = |_: &[&Node]| Work::Prepare { recovery: recovery.clone(), pg_hba: Some(pg_hba.clone()) };
    session.run(session.jobs_beside(&plan.chosen, &plan.coordinator, work)?, |_, _| {}).await?;
    Ok(())
}
