//! The backup that a delta is based on: what it says of its files, and whether a delta of it is sound.
//!
//! A base is refused where a delta of it would be a mistake; where it merely cannot serve, the backup becomes a full one, and a
//! warning says why.

use std::path::Path;

use formats::segment::SegmentSentinel;
use formats::{BackupName, layout};
use pgdata::{Lsn, SystemIdentifier, TimelineHistory, TimelineId};
use tokio_util::sync::CancellationToken;

use super::base_files::{BaseFiles, load_files};
use crate::error::{Error, Result};
use crate::mark;
use crate::repository::Repository;

/// A backup that can be the base of a delta.
pub struct Base {
    pub name: BackupName,
    /// Where it begins: pages that changed from here on go into the delta.
    pub start_lsn: Lsn,
    finish_lsn: Lsn,
    timeline: TimelineId,
    system_identifier: Option<SystemIdentifier>,
    version_num: u32,
    /// Name of the full backup at the root of its chain; its own if it is one.
    pub full_name: BackupName,
    /// Deltas from the full backup to it.
    pub count: u32,
    pub files: BaseFiles,
}

/// Something of the base, or why it cannot be one.
pub type Usable<T> = std::result::Result<T, String>;

/// What the server says of itself once it is in backup mode.
pub struct Now {
    pub start_lsn: Lsn,
    pub timeline: TimelineId,
    pub system_identifier: Option<SystemIdentifier>,
    pub version_num: u32,
}

/// Reads everything about `name`. An error if there is no such backup or the storage fails.
pub async fn load(repository: &Repository, name: &BackupName, cancel: &CancellationToken) -> Result<Usable<Base>> {
    let key = layout::sentinel_key(name);
    let sentinel: Option<SegmentSentinel> = repository.find_json(&key).await?;
    let Some(mut sentinel) = sentinel else {
        let what = format!("Backup '{name}' does not exist in {}", repository.store().describe());
        return Err(Error::refused(what, "list the backups with backup-list, or make a full backup with --full"));
    };
    let (full_name, count) = match chain(repository, name, &sentinel).await? {
        Ok(root) => root,
        Err(why) => return Ok(Err(why)),
    };
    let (Some(start_lsn), Some(finish_lsn)) = (sentinel.start_lsn, sentinel.finish_lsn) else {
        return Ok(Err("its sentinel does not say where it begins and ends".to_owned()));
    };
    let Some(timeline) = timeline_of(name) else {
        return Ok(Err("its name does not tell its timeline".to_owned()));
    };
    let files = match load_files(repository, name, &mut sentinel, cancel).await? {
        Ok(files) => files,
        Err(why) => return Ok(Err(why)),
    };
    let (system_identifier, version_num) = (sentinel.system_identifier, sentinel.pg_version);
    let name = name.clone();
    Ok(Ok(Base { name, start_lsn, finish_lsn, timeline, system_identifier, version_num, full_name, count, files }))
}

/// The full backup at the root of the chain, and the deltas above it. Nothing can be built on a chain that is broken.
async fn chain(
    repository: &Repository,
    name: &BackupName,
    sentinel: &SegmentSentinel,
) -> Result<Usable<(BackupName, u32)>> {
    match mark::chain(repository, name).await {
        Ok(chain) => {
            let told = sentinel.delta_base().ok().flatten().map_or(0, |base| base.count);
            Ok(Ok((chain.first().unwrap_or(name).clone(), told)))
        }
        Err(error @ (Error::Refused { .. } | Error::Damaged { .. })) => Ok(Err(error.to_string())),
        Err(error) => Err(error),
    }
}

fn timeline_of(name: &BackupName) -> Option<TimelineId> {
    u32::from_str_radix(name.wal_file_name()?.get(..8)?, 16).ok().map(TimelineId)
}

impl Base {
    /// Errors where the base belongs to another history of the server; otherwise why it cannot serve, if so. `data_dir`: where
    /// the history of the current timeline lies, if the server has changed its timeline since.
    pub fn objection(&self, now: &Now, data_dir: &Path) -> Result<Option<String>> {
        if let (Some(base), Some(ours)) = (self.system_identifier, now.system_identifier)
            && base != ours
        {
            let what = format!("backup {} is one of the server {base}, but this is the server {ours}", self.name);
            let remedy = "the storage prefix belongs to another server: give each server its own, or make a full backup with --full";
            return Err(Error::refused(what, remedy));
        }
        if self.version_num / 10_000 != now.version_num / 10_000 {
            return Ok(Some(format!("it is of version {}, the server has {}", self.version_num, now.version_num)));
        }
        if self.timeline != now.timeline {
            return Ok(match history_of(now.timeline, data_dir)? {
                Some(history) if self.is_in(&history) => None,
                _ => Some(format!(
                    "its timeline {} does not lead to the server's timeline {}: the server was restored since",
                    self.timeline, now.timeline
                )),
            });
        }
        if self.finish_lsn > now.start_lsn {
            let (end, start) = (self.finish_lsn, now.start_lsn);
            let what =
                format!("backup {} is from the future: it ends at {end}, and this one begins at {start}", self.name);
            return Err(Error::refused(what, "the server was set back since: make a full backup with --full"));
        }
        Ok(None)
    }

    /// The base ended before its timeline was left for the one that `history` leads to.
    fn is_in(&self, history: &TimelineHistory) -> bool {
        history.switches.iter().any(|switch| switch.timeline == self.timeline && self.finish_lsn <= switch.switch_lsn)
    }
}

/// The history file of `timeline`, as the server keeps it.
fn history_of(timeline: TimelineId, data_dir: &Path) -> Result<Option<TimelineHistory>> {
    for folder in ["pg_wal", "pg_xlog"] {
        let path = data_dir.join(folder).join(timeline.history_file_name());
        match std::fs::read_to_string(&path) {
            Ok(text) => return Ok(TimelineHistory::parse(&text).ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::file("reading", path, error)),
        }
    }
    Ok(None)
}

#[cfg(test)]
#[path = "base_tests.rs"]
mod tests;
