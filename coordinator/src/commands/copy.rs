//! `copy`: backups of the cluster, to another storage.
//!
//! All segments are planned before the first byte is written. The order over the whole cluster is that of
//! [`segment_agent::copy`]: what a sentinel speaks for is there before it.

use std::collections::BTreeMap;

use clap::Args;
use coordinator::catalog::{self, Backups, RestorePoints, SelectedBackup, Selection};
use coordinator::progress::ByteProgress;
use formats::segment::ExtendedMetadata;
use formats::{BackupName, ContentId, layout};
use futures::stream::{self, StreamExt, TryStreamExt};
use segment_agent::cli;
use segment_agent::copy::{
    Comparison, Item, LogEnd, LogNeed, Objects, Stage, Transfer, compare, execute, gather, objects_of, plan,
    under_leases,
};
use segment_agent::lease::{self, Lease};
use segment_agent::repository::Repository;
use segment_agent::wal;
use segment_agent::work::copies_at_once;
use settings::{Kind, Settings};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::session::Session;

/// Segments looked up at once.
const SEGMENTS_AT_ONCE: usize = 8;

/// Copy backups of the cluster to another storage, with all that is needed to restore them
///
/// A settings file names each storage; variables of the environment do not. Objects are copied as they are, so a restore from
/// the target needs the same keys. What is there already is left alone: a copy that was cut off goes on when it is run again.
#[derive(Debug, Args)]
pub struct CopyCluster {
    #[command(flatten)]
    pub arguments: cli::Copy,
}

/// The storages of a copy.
struct Sides {
    settings: Settings,
    source: Repository,
    target: Repository,
    at_once: usize,
}

pub async fn run(session: &Session, command: &CopyCluster) -> Result<()> {
    let arguments = &command.arguments;
    let settings = cli::storage_settings(&arguments.from, Kind::Greenplum)?;
    let source = Repository::open(&settings)?;
    let target = Repository::open(&cli::storage_settings(&arguments.to, Kind::Greenplum)?)?;
    let at_once = copies_at_once(&settings, &source, &target)?;
    let sides = Sides { settings, source, target, at_once };
    let term = lease::term(&sides.settings)?;
    under_leases(sides.source.store(), sides.target.store(), term, &session.cancel, async |lease, cancel| {
        copy(&sides, arguments, lease, cancel).await
    })
    .await
}

async fn copy(sides: &Sides, arguments: &cli::Copy, lease: &Lease, cancel: &CancellationToken) -> Result<()> {
    let selection = choose(&sides.source, arguments.backup_name.as_deref(), arguments.with_history).await?;
    let parts = stream::iter(contents(&selection))
        .map(|content| segment_part(sides, &selection, content))
        .buffer_unordered(SEGMENTS_AT_ONCE);
    let mut parts: Vec<Part> = parts.try_collect().await?;
    parts.push(cluster_part(sides, &selection).await?);
    let transfers = merge(parts, &selection)?;
    let progress = ByteProgress::new("copying", transfers.iter().map(|transfer| transfer.item.bytes).sum());
    let confirm = async || lease.confirm().await;
    let done = execute(transfers, sides.at_once, cancel, confirm, |bytes| progress.advance(bytes)).await;
    progress.finish();
    done?;
    tracing::info!("Success copy.");
    Ok(())
}

/// What is planned for one folder: that of a segment, or that of the cluster's own documents.
struct Part {
    source: Repository,
    target: Repository,
    compared: Comparison,
    warnings: Vec<String>,
    problems: Vec<String>,
}

async fn choose(source: &Repository, name: Option<&str>, with_history: bool) -> Result<Selection> {
    let backups = Backups::load(source.store()).await?;
    let details = backups.details().await;
    let wanted: Vec<BackupName> = match name {
        Some(catalog::select::LATEST) => vec![catalog::select::latest(backups.entries())?.name.clone()],
        Some(name) => vec![BackupName::new(name).map_err(catalog::Error::Name)?],
        None => backups.entries().iter().map(|backup| backup.name.clone()).collect(),
    };
    if wanted.is_empty() {
        return Err(catalog::Error::NoBackups.into());
    }
    if let [name] = wanted.as_slice() {
        tracing::info!("copying backup {name}");
    }
    let points = RestorePoints::load(source.store()).await?.documents().await;
    for error in details.unreadable.iter().chain(&points.unreadable) {
        tracing::warn!("{error}; it is not copied");
    }
    let selection = catalog::copying::select(&details.found, &points.found, &wanted, with_history)?;
    Ok(selection)
}

fn contents(selection: &Selection) -> Vec<ContentId> {
    let segments = selection.backups.iter().flat_map(|backup| &backup.sentinel.segments);
    let mut contents: Vec<_> = segments.map(|segment| segment.content_id).collect();
    contents.sort();
    contents.dedup();
    contents
}

async fn segment_part(sides: &Sides, selection: &Selection, content: ContentId) -> Result<Part> {
    let (source, target) = (sides.source.segment(content), sides.target.segment(content));
    let mut uses = BTreeMap::<BackupName, &SelectedBackup>::new();
    for backup in &selection.backups {
        for segment in backup.sentinel.segments.iter().filter(|segment| segment.content_id == content) {
            uses.insert(segment.backup_name.clone(), backup);
        }
    }
    let wanted: Vec<_> = uses.keys().cloned().collect();
    let log = async |name: &BackupName| match uses.get(name) {
        Some(backup) => log_need(&source, name, backup, content).await,
        None => Ok(None),
    };
    let gathered = gather(&source, &wanted, log).await?;
    let prefix = format!("{}/", layout::WAL);
    let files: Vec<String> =
        gathered.objects.keys().filter_map(|key| key.strip_prefix(&prefix)).map(str::to_owned).collect();
    let size = wal::segment_size(&sides.settings, &source, &files).await?;
    let planned = plan(&gathered, size);
    let names: Vec<_> = gathered.backups.iter().map(|backup| backup.name.clone()).collect();
    let held = objects_of(&target, &names).await?;
    let compared = compare(planned.items, source.store(), target.store(), &held).await?;
    let place = |text: String| format!("content {content}: {text}");
    let warnings = planned.warnings.into_iter().map(place).collect();
    let problems = planned.problems.into_iter().map(place).collect();
    Ok(Part { source, target, compared, warnings, problems })
}

async fn log_need(
    source: &Repository,
    name: &BackupName,
    backup: &SelectedBackup,
    content: ContentId,
) -> Result<Option<LogNeed>, segment_agent::error::Error> {
    let Some(end) = backup.log_ends.get(&content) else { return Ok(None) };
    let metadata: ExtendedMetadata = source.get_json(&layout::metadata_key(name)).await?;
    let timeline = cli::timeline_of(name)?;
    let to = LogEnd::At { lsn: end.lsn, timeline: end.timeline.unwrap_or(timeline) };
    let is_required = backup.is_wanted;
    Ok(Some(LogNeed { backup: name.clone(), timeline, from: metadata.start_lsn, to, is_required }))
}

/// Restore points, then sentinels.
async fn cluster_part(sides: &Sides, selection: &Selection) -> Result<Part> {
    let (source, target) = (sides.source.clone(), sides.target.clone());
    let (ours, held) = (documents(&source).await?, documents(&target).await?);
    let points = selection.points.iter().enumerate();
    let points = points.map(|(rank, name)| (layout::restore_point_key(name), Stage::RestorePoint(rank)));
    let sentinels = selection.backups.iter().enumerate();
    let sentinels = sentinels.map(|(rank, backup)| (layout::sentinel_key(&backup.name), Stage::ClusterSentinel(rank)));
    let item = |(key, stage): (String, Stage)| Some(Item { bytes: *ours.get(&key)?, key, stage });
    let items = points.chain(sentinels).filter_map(item).collect();
    let compared = compare(items, source.store(), target.store(), &held).await?;
    let warnings = selection.warnings.clone();
    Ok(Part { source, target, compared, warnings, problems: Vec::new() })
}

async fn documents(repository: &Repository) -> Result<Objects> {
    let listing = repository.store().list_folder(layout::BASEBACKUPS).await?;
    Ok(listing.objects.into_iter().map(|object| (object.key, object.size)).collect())
}

/// One plan for all; refused if any part of it cannot be carried out.
fn merge(parts: Vec<Part>, selection: &Selection) -> Result<Vec<Transfer>> {
    let (mut warnings, mut problems, mut whole) = (Vec::new(), Vec::new(), Comparison::default());
    let mut transfers = Vec::new();
    for part in parts {
        warnings.extend(part.warnings);
        problems.extend(part.problems);
        whole.conflicts.extend(part.compared.conflicts);
        whole.present.extend(part.compared.present);
        whole.new.extend(part.compared.new.iter().cloned());
        let (from, to) = (part.source.store(), part.target.store());
        transfers.extend(part.compared.new.into_iter().map(|item| Transfer {
            from: from.clone(),
            to: to.clone(),
            item,
        }));
    }
    cli::tell_plan(&warnings, &problems).map_err(Error::from)?;
    cli::tell_comparison(&whole, selection.backups.len())?;
    Ok(transfers)
}
