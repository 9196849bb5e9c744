//! `wal-show` and `wal-verify`: what the archive holds, and whether that is enough.

use std::collections::BTreeMap;
use std::io::stdout;

use clap::{ArgAction, Args};
use pgclient::Server;
use pgdata::{Lsn, SegmentSize, TimelineHistory, TimelineId, WalName};
use settings::Settings;

use super::form::printed;
use super::repository::tell_unreadable;
use crate::backups::{self, BackupDetail};
use crate::error::{Error, Result};
use crate::repository::Repository;
use crate::wal::report::{Check, Report, Timelines};
use crate::wal::verify::{Patience, Status, first_segment, integrity_status, oldest_backup, scan, timeline_status};
use crate::wal::{self, Contents, show};
use crate::work::connect_options;

/// Show which log files are archived, timeline by timeline
#[derive(Debug, Args)]
pub struct WalShow {
    /// JSON with the names of missing files and the backups of each timeline
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    detailed_json: bool,
    /// Leave the backups out
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    without_backups: bool,
}

/// Check that the archived log is whole and of the server's timeline
///
/// The running server is asked for its position and timeline, unless --timeline and --lsn tell them. The log is checked from
/// the oldest backup on that may be deleted, up to the file before the current one.
#[derive(Debug, Args)]
pub struct WalVerify {
    /// What to check: integrity, timeline
    #[arg(value_name = "CHECK")]
    checks: Vec<String>,
    /// JSON, for programs
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    json: bool,
    /// Timeline in place of the server's; together with --lsn
    #[arg(long, value_name = "N")]
    timeline: Option<u32>,
    /// Position in place of the server's, such as 0/7000000; together with --timeline
    #[arg(long, value_name = "LSN")]
    lsn: Option<String>,
    /// Check the log from this backup on, permanent or not
    #[arg(long, value_name = "NAME")]
    backup_name: Option<String>,
    /// End with exit code 1 when a check fails; otherwise only the output tells
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    exit_code: bool,
}

/// The archive, and what is needed to read it.
struct Archive {
    contents: Contents,
    size: SegmentSize,
}

impl Archive {
    async fn read(settings: &Settings, repository: &Repository) -> Result<Self> {
        let names = wal::object_names(repository).await?;
        let size = wal::segment_size(settings, repository, &names).await?;
        Ok(Self { contents: Contents::of_names(names.iter().map(String::as_str), size)?, size })
    }
}

pub(super) async fn wal_show(settings: &Settings, repository: &Repository, arguments: &WalShow) -> Result<()> {
    let Archive { contents, size } = Archive::read(settings, repository).await?;
    let mut histories = BTreeMap::new();
    for timeline in &contents.histories {
        if let Some(history) = wal::history(repository, *timeline).await? {
            histories.insert(*timeline, history);
        }
    }
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    if !arguments.without_backups {
        let backups = backups::list(repository).await?;
        if backups.is_empty() {
            tracing::info!("No backups found in storage.");
        }
        (found, unreadable) = backups::details(repository, &backups).await;
        found.reverse();
    }
    let timelines = show::timelines(&contents, &histories, &found, size);
    let out = &mut stdout().lock();
    printed(match arguments.detailed_json {
        true => show::write_json(&timelines, out),
        false => show::write_table(&timelines, !arguments.without_backups, out),
    })?;
    tell_unreadable(&unreadable)
}

pub(super) async fn wal_verify(settings: &Settings, repository: &Repository, arguments: &WalVerify) -> Result<()> {
    let wanted = Wanted::of(&arguments.checks)?;
    let given = position_given(arguments)?;
    let archive = Archive::read(settings, repository).await?;
    let current = match given {
        Some((timeline, lsn)) => archive.size.name_of(timeline, before(lsn)),
        None => current_segment(settings).await?,
    };
    let mut unreadable = Vec::new();
    let mut report = Report::default();
    if wanted.integrity {
        let (check, errors) = integrity(settings, repository, &archive, current, arguments).await?;
        report.integrity = Some(check);
        unreadable = errors;
    }
    if wanted.timeline {
        let highest = archive.contents.highest_timeline();
        let details = Timelines { current_timeline_id: current.timeline, highest_storage_timeline_id: highest };
        report.timeline = Some(Check { status: timeline_status(current.timeline, highest), details });
    }
    let out = &mut stdout().lock();
    printed(if arguments.json { report.write_json(out) } else { report.write_text(out) })?;
    tell_unreadable(&unreadable)?;
    if arguments.exit_code && report.is_failure() {
        let remedy = "the output names what is missing; make a new backup, so that what is lost is no longer needed";
        return Err(Error::refused("the archived log cannot be relied on", remedy));
    }
    Ok(())
}

/// The checks that were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wanted {
    integrity: bool,
    timeline: bool,
}

impl Wanted {
    fn of(checks: &[String]) -> Result<Self> {
        let mut wanted = Self::default();
        for check in checks {
            match check.as_str() {
                "integrity" => wanted.integrity = true,
                "timeline" => wanted.timeline = true,
                other => {
                    let what = format!("invalid check specified: {other}");
                    return Err(Error::refused(what, "name integrity, timeline or both"));
                }
            }
        }
        if checks.is_empty() {
            let what = "at least one of the following checks should be specified: integrity, timeline";
            return Err(Error::refused(what, "name the checks: wal-verify integrity timeline"));
        }
        Ok(wanted)
    }
}

fn position_given(arguments: &WalVerify) -> Result<Option<(TimelineId, Lsn)>> {
    let alone = |flag: &str, other: &str| {
        let what = format!("\"--{flag}\" flag works only in conjunction with the \"--{other}\" flag");
        Err(Error::refused(what, format!("add --{other}, or leave --{flag} out and let the server be asked")))
    };
    match (arguments.timeline, arguments.lsn.as_deref()) {
        (None, None) => Ok(None),
        (Some(_), None) => alone("timeline", "lsn"),
        (None, Some(_)) => alone("lsn", "timeline"),
        (Some(timeline), Some(text)) => {
            let lsn = text.parse::<Lsn>().map_err(|error| Error::refused(error.to_string(), "correct --lsn"))?;
            Ok(Some((TimelineId(timeline), lsn)))
        }
    }
}

/// A position on the boundary belongs to the file before.
fn before(lsn: Lsn) -> Lsn {
    Lsn(lsn.0.saturating_sub(1))
}

/// The log file that the running server writes, or has received last.
async fn current_segment(settings: &Settings) -> Result<WalName> {
    let server = Server::connect_segment(&connect_options(settings)?).await?;
    let (lsn, timeline) = (server.wal_position().await?, server.timeline().await?);
    let size = server.wal_segment_size().await?;
    let current = size.name_of(timeline, before(lsn));
    tracing::info!("Current WAL segment: {}", current.file_name(size));
    Ok(current)
}

async fn integrity(
    settings: &Settings,
    repository: &Repository,
    archive: &Archive,
    current: WalName,
    arguments: &WalVerify,
) -> Result<(Check<Vec<wal::verify::Stretch>>, Vec<Error>)> {
    let history = match archive.contents.histories.contains(&current.timeline) {
        true => wal::history(repository, current.timeline).await?.unwrap_or_default(),
        false => TimelineHistory::default(),
    };
    let (backups, unreadable) = backups::details(repository, &backups::list(repository).await?).await;
    let begin = begin(&backups, arguments.backup_name.as_deref(), current.timeline, &history, archive.size)?;
    let patience = Patience {
        delayed: settings.int("WALG_INTEGRITY_MAX_DELAYED_WALS")?.and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
        uploading: settings.concurrency("WALG_UPLOAD_CONCURRENCY", 16)? as u64,
    };
    let details = scan(&archive.contents, &history, current, begin.unwrap_or(1), patience, archive.size);
    let status: Status = integrity_status(&details, begin.is_some());
    Ok((Check { status, details }, unreadable))
}

/// The segment at which the check begins; nothing where no backup says.
fn begin(
    backups: &[BackupDetail],
    named: Option<&str>,
    timeline: TimelineId,
    history: &TimelineHistory,
    size: SegmentSize,
) -> Result<Option<u64>> {
    if let Some(named) = named {
        let backup = backups.iter().find(|backup| backup.name.as_str() == named).ok_or_else(|| {
            let what = format!("Backup with specified name {named:?} was not found");
            Error::refused(what, "list the backups with backup-list")
        })?;
        let segment = first_segment(backup, timeline, history, size).map_err(|why| {
            Error::refused(format!("backup {named} cannot be where the check begins: {why}"), "name another backup")
        })?;
        return Ok(Some(segment));
    }
    let (oldest, reasons) = oldest_backup(backups, timeline, history, size);
    for reason in reasons {
        tracing::info!("{reason}");
    }
    match oldest {
        Some((backup, _)) => tracing::info!("Detected earliest available backup: {}", backup.name),
        None => tracing::info!("no backup tells where the log must begin: it is checked from its first file on"),
    }
    Ok(oldest.map(|(_, segment)| segment))
}
