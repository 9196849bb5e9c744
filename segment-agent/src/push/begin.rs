//! The start of a push: the base of a delta, backup mode, and the new backup's name.

use formats::{BackupName, Timestamp, layout};
use pgclient::{Server, StartedBackup};
use pgdata::{ControlFile, Lsn, SystemIdentifier, TimelineId, WalName};
use tokio_util::sync::CancellationToken;

use super::PushRequest;
use super::base::{self, Base};
use crate::data_dir;
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::repository::Repository;

/// What is known once the server is in backup mode.
pub struct Begun {
    pub backup: BackupName,
    pub started: StartedBackup,
    pub timeline: TimelineId,
    pub start_time: Timestamp,
    pub control: ControlFile,
    pub version_num: u32,
    pub system_identifier: Option<SystemIdentifier>,
    /// The base of a delta.
    pub base: Option<Base>,
}

/// The base that is asked for, if it can serve.
pub async fn read_base(
    repository: &Repository,
    request: &PushRequest,
    monitor: &Monitor,
    cancel: &CancellationToken,
) -> Result<Option<Base>> {
    let Some(name) = &request.base else { return Ok(None) };
    monitor.phase(format!("reading the file list of {name}"));
    Ok(base::load(repository, name, cancel).await?.map_err(|why| warn_of_full(monitor, name, &why)).ok())
}

fn warn_of_full(monitor: &Monitor, base: &BackupName, why: &str) {
    monitor.warn(format!("a full backup is made, for backup {base} cannot be the base of a delta: {why}"));
}

pub async fn begin(
    repository: &Repository,
    request: &PushRequest,
    server: &Server,
    base: Option<Base>,
    monitor: &Monitor,
) -> Result<Begun> {
    let control = data_dir::read_control(&request.data_dir)?;
    let start_time = now();
    let system_identifier = server.system_identifier().await?;
    let started = server.start_backup(&format!("damson {}", start_time)).await?;
    let timeline = server.timeline().await?;
    let version_num = server.version_num();
    let state = base::Now { start_lsn: started.start_lsn, timeline, system_identifier, version_num };
    let base = match base {
        Some(base) => match base.objection(&state, &request.data_dir)? {
            Some(why) => {
                warn_of_full(monitor, &base.name, &why);
                None
            }
            None => Some(base),
        },
        None => None,
    };
    let backup = name_of(&started, timeline, &control, base.as_ref())?;
    refuse_existing(repository, &backup).await?;
    Ok(Begun { backup, started, timeline, start_time, control, version_num, system_identifier, base })
}

/// Backups are named after the log file of their start, deltas after that of their base too.
fn name_of(
    started: &StartedBackup,
    timeline: TimelineId,
    control: &ControlFile,
    base: Option<&Base>,
) -> Result<BackupName> {
    let size = control.wal_segment_size;
    let odd =
        |error: &dyn std::fmt::Display| Error::refused(error.to_string(), "the server named a WAL file that is none");
    let start = match &started.wal_file_name {
        Some(name) => WalName::parse(name, size).map_err(|error| odd(&error))?,
        None => size.name_of(timeline, Lsn(started.start_lsn.0.saturating_sub(1))),
    };
    let delta = base.and_then(|base| layout::segment_delta_name(start, size, &base.name));
    Ok(delta.unwrap_or_else(|| layout::segment_backup_name(start, size)))
}

/// A name is used once. Parts of an unfinished push of that name are removed: a restore takes every part that it finds.
async fn refuse_existing(repository: &Repository, backup: &BackupName) -> Result<()> {
    if repository.store().head(&layout::sentinel_key(backup)).await?.is_some() {
        let what = format!("a backup named {backup} exists already in {}", repository.store().describe());
        return Err(Error::refused(
            what,
            "the storage holds backups of another server under this prefix; give each server its own prefix",
        ));
    }
    remove_folder(repository, backup).await
}

/// Removes everything of a backup but its sentinel.
pub async fn remove_folder(repository: &Repository, backup: &BackupName) -> Result<()> {
    let leftovers = repository.store().list(&layout::backup_folder(backup)).await?;
    let keys: Vec<_> = leftovers.into_iter().map(|object| object.key).collect();
    if !keys.is_empty() {
        repository.store().delete(&keys).await?;
    }
    Ok(())
}

/// UTC, rounded up to microseconds as WAL-G does.
pub fn now() -> Timestamp {
    Timestamp(chrono::Utc::now().fixed_offset()).rounded_up_to_micros()
}
