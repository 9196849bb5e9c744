//! `check-ao-aocs-length`: are the files of append-optimized tables as long as their catalogs say, on every segment?

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{ArgAction, Args};
use coordinator::catalog::{self, BackupTarget, Backups};
use formats::wire::{SegmentResult, SegmentTarget, Work};
use formats::{BackupName, ContentId};
use pgclient::Server;
use segment_agent::backups::{self, Wanted};
use segment_agent::work::{check_lengths, connect_options};

use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::session::Session;

/// Check that the files of append-optimized tables are as long as their catalogs say, on every segment
///
/// A file that is too short has lost rows. With --check-backup, the files of a backup are checked instead: what it promises
/// beside what is stored, and beside the files of today.
#[derive(Debug, Args)]
pub struct CheckAoLength {
    /// Accepted for compatibility; logs stay with the jobs on the hosts
    #[arg(short, long, value_name = "DIR", hide = true)]
    logs: Option<PathBuf>,
    #[command(flatten)]
    of_backup: OfBackup,
}

/// Which backup is checked.
#[derive(Debug, Args)]
pub struct OfBackup {
    /// Check a backup instead of the running servers
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    check_backup: bool,
    /// Name of the backup, or LATEST
    #[arg(short = 'n', long, value_name = "NAME", default_value = "LATEST")]
    backup_name: String,
}

/// Check one segment whose server runs on this host
#[derive(Debug, Args)]
pub struct CheckAoLengthSegment {
    /// Port of the segment's server
    #[arg(short, long, default_value = "5432")]
    port: u16,
    /// Content id of the segment
    #[arg(short, long, allow_hyphen_values = true)]
    segnum: i32,
    #[command(flatten)]
    of_backup: OfBackup,
}

pub async fn run(session: &Session, arguments: &CheckAoLength) -> Result<()> {
    let cluster = Cluster::discover(&session.settings).await?;
    let sources = match arguments.of_backup.check_backup {
        true => Some(segments_of(session, &arguments.of_backup.backup_name).await?),
        false => None,
    };
    let coordinator = cluster.nodes.iter().find(|node| node.is_coordinator()).map(|node| node.hostname.clone());
    let mut nodes: Vec<_> = cluster.nodes.iter().filter(|node| !node.is_coordinator()).cloned().collect();
    if let Some(sources) = &sources {
        nodes.retain(|node| sources.contains_key(&node.content));
    }
    let work = |nodes: &[&crate::cluster::Node]| Work::CheckAoLength {
        backups: sources
            .as_ref()
            .map(|sources| nodes.iter().filter_map(|node| sources.get(&node.content).cloned()).collect()),
    };
    let jobs = session.jobs_beside(&nodes, coordinator.as_deref().unwrap_or_default(), work)?;
    let verdict = session.run(jobs, |_, _| {}).await?;
    let (mut files, mut problems) = (0, 0);
    for (content, result) in verdict.results() {
        if let SegmentResult::AoLengths { files: looked_at, problems: found } = result {
            files += looked_at;
            problems += found.len();
            found.iter().for_each(|problem| tracing::error!("content {content}: {problem}"));
        }
    }
    conclude(files, problems)
}

/// The segments' backups of a cluster backup, by content id.
async fn segments_of(session: &Session, name: &str) -> Result<BTreeMap<ContentId, BackupName>> {
    let repository = session.repository()?;
    let backups = Backups::load(repository.store()).await?;
    let name = match BackupTarget::from_arguments(Some(name), None)? {
        Some(BackupTarget::Name(name)) => name,
        _ => catalog::select::latest(backups.entries())?.name.clone(),
    };
    let sentinel = backups.detail(&name).await?.sentinel;
    Ok(sentinel.segments.into_iter().map(|segment| (segment.content_id, segment.backup_name)).collect())
}

pub async fn run_segment(session: &Session, arguments: &CheckAoLengthSegment) -> Result<()> {
    let content = ContentId(arguments.segnum);
    let connect = connect_options(&session.settings)?.with_port(arguments.port);
    let server = Server::connect_segment(&connect).await?;
    let data_dir = server.setting("data_directory").await?.unwrap_or_default();
    let repository = session.repository()?.segment(content);
    let backup = match arguments.of_backup.check_backup {
        true => Some(backups::find(&repository, &Wanted::parse(&arguments.of_backup.backup_name)?).await?),
        false => None,
    };
    let target = SegmentTarget { content, port: arguments.port, data_dir: data_dir.into() };
    match check_lengths(&repository, &target, &connect, backup.as_ref()).await? {
        SegmentResult::AoLengths { files, problems } => {
            problems.iter().for_each(|problem| tracing::error!("content {content}: {problem}"));
            conclude(files, problems.len())
        }
        _ => Ok(()),
    }
}

fn conclude(files: u64, problems: usize) -> Result<()> {
    if problems > 0 {
        let remedy = "restore what is too short from a backup that was made before it was; back up nothing over it";
        return Err(Error::refused(format!("check failed: {problems} of {files} files are too short"), remedy));
    }
    tracing::info!("check passed: {files} files");
    Ok(())
}
