//! `wal-verify`: is the archive whole from the oldest backup to now, and is it of the server's timeline?
//!
//! The scan goes backwards from the file before the current one. What is missing before the first file found may be late
//! (WALG_INTEGRITY_MAX_DELAYED_WALS), what is missing among the next WALG_UPLOAD_CONCURRENCY may be under way, the rest is lost.

use std::collections::BTreeMap;

use pgdata::{SegmentSize, TimelineHistory, TimelineId, WalName};
use serde::Serialize;

use super::contents::Contents;
use crate::backups::BackupDetail;

/// What became of a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Found {
    #[serde(rename = "FOUND")]
    Found,
    #[serde(rename = "MISSING_DELAYED")]
    Delayed,
    #[serde(rename = "MISSING_UPLOADING")]
    Uploading,
    #[serde(rename = "MISSING_LOST")]
    Lost,
}

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    Ok,
    Warning,
    Failure,
}

/// Neighbouring log files of one timeline with one fate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stretch {
    pub timeline_id: TimelineId,
    pub start_segment: String,
    pub end_segment: String,
    pub segments_count: u64,
    pub status: Found,
}

/// How many of the newest missing files are not yet taken for lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    pub delayed: u64,
    pub uploading: u64,
}

/// Where the scan begins: at the backup with the lowest log file of those that may be deleted and whose log leads to
/// `current`. Backups that do not count are told with the reason.
pub fn oldest_backup<'a>(
    backups: &'a [BackupDetail],
    current: TimelineId,
    history: &TimelineHistory,
    size: SegmentSize,
) -> (Option<(&'a BackupDetail, u64)>, Vec<String>) {
    let (mut oldest, mut reasons) = (None::<(&BackupDetail, u64)>, Vec::new());
    for backup in backups {
        let found = if backup.metadata.is_permanent {
            Err("it is permanent, its log may end behind it".to_owned())
        } else {
            first_segment(backup, current, history, size)
        };
        match found {
            Ok(segment) if oldest.is_none_or(|(_, lowest)| segment < lowest) => oldest = Some((backup, segment)),
            Ok(_) => {}
            Err(why) => reasons.push(format!("backup {} is not where the check begins: {why}", backup.name)),
        }
    }
    (oldest, reasons)
}

/// The segment in which a backup begins; an error says why its log does not lead to `current`.
pub fn first_segment(
    backup: &BackupDetail,
    current: TimelineId,
    history: &TimelineHistory,
    size: SegmentSize,
) -> Result<u64, String> {
    let text = backup.name.wal_file_name().ok_or_else(|| "its name holds no log file".to_owned())?;
    let WalName { timeline, segment } = WalName::parse(text, size).map_err(|error| error.to_string())?;
    let end_of = |timeline: TimelineId| {
        let switch = history.switches.iter().find(|switch| switch.timeline == timeline);
        switch.map(|switch| size.segment_of(switch.switch_lsn))
    };
    if history.switches.is_empty() {
        return Ok(segment);
    }
    let before = TimelineId(timeline.0.saturating_sub(1));
    if end_of(before).is_some_and(|begin| segment < begin) {
        return Err(format!("it begins before its timeline {timeline} does"));
    }
    if timeline == current {
        return Ok(segment);
    }
    match end_of(timeline) {
        None => Err(format!("its timeline {timeline} does not lead to timeline {current}")),
        Some(end) if segment >= end => Err(format!("it begins where timeline {timeline} was already left")),
        Some(_) => Ok(segment),
    }
}

/// From the file before `current` down to segment `stop`; ascending.
pub fn scan(
    contents: &Contents,
    history: &TimelineHistory,
    current: WalName,
    stop: u64,
    patience: Patience,
    size: SegmentSize,
) -> Vec<Stretch> {
    let switches: BTreeMap<u64, TimelineId> =
        history.switches.iter().map(|switch| (size.segment_of(switch.switch_lsn), switch.timeline)).collect();
    let mut stretches: Vec<(Stretch, WalName)> = Vec::new();
    let (mut at, mut delayed, mut uploading) = (current, patience.delayed, patience.uploading);
    while at.segment > stop {
        at = before(at, &switches, contents);
        let is_found = contents.segments.contains(&at);
        let fate = match (is_found, delayed, uploading) {
            (true, ..) => Found::Found,
            (false, 1.., _) => Found::Delayed,
            (false, 0, 1..) => Found::Uploading,
            (false, 0, 0) => Found::Lost,
        };
        if delayed > 0 {
            delayed = if is_found { 0 } else { delayed - 1 };
        } else {
            uploading = uploading.saturating_sub(1);
        }
        match stretches.last_mut() {
            Some((stretch, _)) if stretch.status == fate && stretch.timeline_id == at.timeline => {
                stretch.start_segment = at.file_name(size);
                stretch.segments_count += 1;
            }
            _ => {
                let name = at.file_name(size);
                let (start_segment, end_segment) = (name.clone(), name);
                let stretch =
                    Stretch { timeline_id: at.timeline, start_segment, end_segment, segments_count: 1, status: fate };
                stretches.push((stretch, at));
            }
        }
    }
    stretches.reverse();
    stretches.into_iter().map(|(stretch, _)| stretch).collect()
}

/// The file before `at`: where a timeline began in `at`, that of its parent, unless the archive goes on with the child.
fn before(at: WalName, switches: &BTreeMap<u64, TimelineId>, contents: &Contents) -> WalName {
    let same = WalName { segment: at.segment - 1, ..at };
    match switches.get(&at.segment) {
        Some(parent) if *parent < at.timeline && !contents.segments.contains(&same) => {
            WalName { timeline: *parent, ..same }
        }
        _ => same,
    }
}

/// `has_backups`: otherwise nobody knows where the log should begin, and what is missing at first is no failure.
pub fn integrity_status(stretches: &[Stretch], has_backups: bool) -> Status {
    let (mut status, mut seen) = (Status::Ok, false);
    for stretch in stretches {
        match stretch.status {
            Found::Found => seen = true,
            Found::Lost if has_backups || seen => return Status::Failure,
            Found::Lost | Found::Delayed | Found::Uploading => status = Status::Warning,
        }
    }
    status
}

/// `highest`: of the archive; 0 if it is empty.
pub fn timeline_status(current: TimelineId, highest: TimelineId) -> Status {
    match highest {
        TimelineId(0) => Status::Warning,
        highest if highest == current => Status::Ok,
        _ => Status::Failure,
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
