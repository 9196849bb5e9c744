//! `copy`: backups of one server, or of one segment, to another storage.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use clap::{ArgAction, Args};
use formats::segment::ExtendedMetadata;
use formats::{BackupName, ContentId, layout};
use pgdata::TimelineId;
use settings::{Kind, Request, Settings};
use tokio_util::sync::CancellationToken;

use crate::backups::{self, Wanted};
use crate::copy::{Comparison, LogEnd, LogNeed, Transfer, compare, execute, gather, objects_of, plan, under_leases};
use crate::error::{Error, Result};
use crate::lease::{self, Lease};
use crate::repository::Repository;
use crate::wal;
use crate::work::copies_at_once;

/// Between two lines about progress.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// So many of a kind are told one by one.
const TOLD_MAX: usize = 10;

/// Copy backups to another storage, with all that is needed to restore them
///
/// A settings file names each storage; variables of the environment do not. Objects are copied as they are, so a restore from
/// the target needs the same keys. What is there already is left alone: a copy that was cut off goes on when it is run again.
#[derive(Debug, Args)]
pub struct Copy {
    /// Settings file of the storage to copy from
    #[arg(short, long, value_name = "FILE")]
    pub from: PathBuf,
    /// Settings file of the storage to copy to
    #[arg(short, long, value_name = "FILE")]
    pub to: PathBuf,
    /// Name of a backup, or LATEST; without it, all backups are copied
    #[arg(short, long, value_name = "NAME")]
    pub backup_name: Option<String>,
    /// Copy the log as far as the archive goes, instead of what the backups need alone
    #[arg(short, long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    pub with_history: bool,
}

/// Copies backups of a single server, or of the segment `content`.
pub(super) async fn copy_here(
    kind: Kind,
    content: Option<ContentId>,
    arguments: &Copy,
    cancel: &CancellationToken,
) -> Result<()> {
    let (from, to) = (storage_settings(&arguments.from, kind)?, storage_settings(&arguments.to, kind)?);
    let sides = (Repository::open(&from)?, Repository::open(&to)?);
    let term = lease::term(&from)?;
    under_leases(sides.0.store(), sides.1.store(), term, cancel, async |lease, cancel| {
        let part = |whole: &Repository| content.map_or_else(|| whole.clone(), |content| whole.segment(content));
        copy_between(&from, &part(&sides.0), &part(&sides.1), arguments, lease, cancel).await
    })
    .await
}

async fn copy_between(
    from: &Settings,
    source: &Repository,
    target: &Repository,
    arguments: &Copy,
    lease: &Lease,
    cancel: &CancellationToken,
) -> Result<()> {
    let wanted = match &arguments.backup_name {
        Some(name) => vec![backups::find(source, &Wanted::parse(name)?).await?],
        None => backups::list(source).await?.into_iter().map(|backup| backup.name).collect(),
    };
    if wanted.is_empty() {
        return Err(Error::refused(
            format!("No backups found in {}", source.store().describe()),
            "check the storage in the settings file of --from",
        ));
    }
    let log = async |name: &BackupName| log_need(source, name, wanted.contains(name), arguments.with_history).await;
    let gathered = gather(source, &wanted, log).await?;
    let prefix = format!("{}/", layout::WAL);
    let files: Vec<String> =
        gathered.objects.keys().filter_map(|key| key.strip_prefix(&prefix)).map(str::to_owned).collect();
    let size = wal::segment_size(from, source, &files).await?;
    let planned = plan(&gathered, size);
    tell_plan(&planned.warnings, &planned.problems)?;
    let names: Vec<_> = gathered.backups.iter().map(|backup| backup.name.clone()).collect();
    let held = objects_of(target, &names).await?;
    let compared = compare(planned.items, source.store(), target.store(), &held).await?;
    tell_comparison(&compared, names.len())?;
    let transfer = |item| Transfer { from: source.store().clone(), to: target.store().clone(), item };
    let total = compared.new.iter().map(|item| item.bytes).sum();
    let pace = Pace::new(total);
    let at_once = copies_at_once(from, source, target)?;
    let transfers = compared.new.into_iter().map(transfer).collect();
    execute(transfers, at_once, cancel, async || lease.confirm().await, |bytes| pace.advance(bytes)).await?;
    tracing::info!("Success copy.");
    Ok(())
}

/// The settings of one side. The environment does not choose a storage, for then it would choose both; credentials may come
/// from it.
pub fn storage_settings(path: &Path, kind: Kind) -> Result<Settings> {
    let request = Request { config: Some(path.to_owned()), flags: Vec::new(), kind };
    let environment = |name: &str| if name.ends_with("_PREFIX") { None } else { std::env::var(name).ok() };
    let settings = Settings::load(&request, &environment)?;
    for warning in settings.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(settings)
}

async fn log_need(
    source: &Repository,
    name: &BackupName,
    is_required: bool,
    with_history: bool,
) -> Result<Option<LogNeed>> {
    let metadata: ExtendedMetadata = source.get_json(&layout::metadata_key(name)).await?;
    let timeline = timeline_of(name)?;
    let own_end = LogEnd::At { lsn: metadata.finish_lsn, timeline };
    let to = if with_history && is_required { LogEnd::Newest } else { own_end };
    Ok(Some(LogNeed { backup: name.clone(), timeline, from: metadata.start_lsn, to, is_required }))
}

/// The timeline that a segment's backup began on: its name says it.
pub fn timeline_of(name: &BackupName) -> Result<TimelineId> {
    let digits = name.wal_file_name().and_then(|file| u32::from_str_radix(file.get(..8)?, 16).ok());
    digits.map(TimelineId).ok_or_else(|| {
        Error::refused(
            format!("the name {name} holds no log file, so nobody knows what log it needs"),
            "copy it by hand",
        )
    })
}

/// Warnings are told; problems end the copy before anything is written.
pub fn tell_plan(warnings: &[String], problems: &[String]) -> Result<()> {
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    problems.iter().take(TOLD_MAX).for_each(|problem| tracing::error!("{problem}"));
    if problems.is_empty() {
        return Ok(());
    }
    let what = format!("the source lacks {} objects that the copy needs; nothing was copied", problems.len());
    Err(Error::refused(what, "copy backups that are whole: name one with --backup-name, or make a new one"))
}

/// Says what will be copied; an error if the target holds something else.
pub fn tell_comparison(compared: &Comparison, backups: usize) -> Result<()> {
    compared.conflicts.iter().take(TOLD_MAX).for_each(|conflict| tracing::error!("{conflict}"));
    if !compared.conflicts.is_empty() {
        let what = format!("{} objects of the target are in the way; nothing was copied", compared.conflicts.len());
        return Err(Error::refused(what, "copy into an empty storage, or one that holds copies of this one alone"));
    }
    let bytes = |items: &[crate::copy::Item]| items.iter().map(|item| item.bytes).sum::<u64>();
    tracing::info!(
        "{backups} backups: {} objects of {} bytes will be copied, {} of {} bytes are there already",
        compared.new.len(),
        bytes(&compared.new),
        compared.present.len(),
        bytes(&compared.present)
    );
    Ok(())
}

/// A line now and then.
struct Pace {
    total: u64,
    state: Mutex<(u64, Instant)>,
}

impl Pace {
    fn new(total: u64) -> Self {
        Self { total, state: Mutex::new((0, Instant::now())) }
    }

    fn advance(&self, bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 += bytes;
        if state.1.elapsed() >= LINE_INTERVAL {
            state.1 = Instant::now();
            tracing::info!("copied {} of {} bytes", state.0, self.total);
        }
    }
}
