//! The backup that a delta is based on: what it says of its files, and whether a delta of it is sound.
//!
//! A base is refused where a delta of it would be a mistake; where it merely cannot serve, the backup becomes a full one, and a
//! warning says why.

use std::io::BufReader;
use std::path::Path;

use formats::files::{FileDescription, FilesMetadataReader};
use formats::manifest::{ManifestEntry, read_manifest};
use formats::segment::SegmentSentinel;
use formats::{BackupName, layout};
use pgdata::{Lsn, SystemIdentifier, TimelineHistory, TimelineId};
use storage::ErrorKind;
use tokio_util::sync::CancellationToken;

use super::walk::CLOCK_TICK_NANOS;
use crate::bridge::{Driver, ObjectDigest, ObjectSource, on_worker};
use crate::error::{Error, Result, from_io};
use crate::fetch::open_manifest;
use crate::mark;
use crate::repository::Repository;

/// Bytes that a reader of a large document holds.
const BUFFER_BYTES: usize = 1 << 20;

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

/// When each file of the base was last modified. Names are kept as keyed hashes: sixteen bytes a file, of which there may be
/// millions.
pub struct BaseFiles {
    seed: u64,
    /// By hash, ascending.
    times: Vec<(u64, i64)>,
    /// A time from here on proves nothing: the file may have been written again within the same tick of the clock.
    settled_before: i64,
}

impl BaseFiles {
    fn new(seed: u64, settled_before: i64) -> Self {
        Self { seed, times: Vec::new(), settled_before }
    }

    fn add(&mut self, path: &str, description: &FileDescription) {
        // Backups over the replication protocol note names without the slash, and whole seconds: no time of theirs is equal.
        self.times.push((self.hash(path), description.mtime.unix_nanos()));
    }

    fn sorted(mut self) -> Self {
        self.times.sort_unstable();
        self.times.shrink_to_fit();
        self
    }

    /// Nanoseconds since 1970; `None` if the base does not have the file.
    pub fn modified_nanos(&self, path: &str) -> Option<i64> {
        let hash = self.hash(path);
        let found = self.times.binary_search_by_key(&hash, |(hash, _)| *hash).ok()?;
        self.times.get(found).map(|(_, nanos)| *nanos)
    }

    /// Equal times mean equal files.
    pub fn is_settled(&self, nanos: i64) -> bool {
        nanos < self.settled_before
    }

    fn hash(&self, path: &str) -> u64 {
        xxhash_rust::xxh3::xxh3_64_with_seed(path.trim_start_matches('/').as_bytes(), self.seed)
    }
}

/// The list of files, proved against the manifest where there is one. Backups of WAL-G have none, and note the times of files
/// as they are; ours note them so that an equal time is proof ([`super::walk::Entry::noted_nanos`]).
async fn load_files(
    repository: &Repository,
    name: &BackupName,
    sentinel: &mut SegmentSentinel,
    cancel: &CancellationToken,
) -> Result<Usable<BaseFiles>> {
    if sentinel.files_metadata_disabled {
        return Ok(Err("it was made without files_metadata.json".to_owned()));
    }
    let began = sentinel.start_time.unix_nanos().saturating_sub(CLOCK_TICK_NANOS);
    let seed = uuid::Uuid::new_v4().as_u64_pair().0;
    if !sentinel.legacy_files.is_empty() {
        let mut files = BaseFiles::new(seed, began);
        std::mem::take(&mut sentinel.legacy_files).iter().for_each(|(path, file)| files.add(path, file));
        return Ok(Ok(files.sorted()));
    }
    let (repository, name, cancel) = (repository.clone(), name.clone(), cancel.clone());
    let driver = Driver::current(repository.store());
    on_worker(move || {
        let promised = match promised_list(&repository, &name, &driver, &cancel)? {
            Ok(promised) => promised,
            Err(why) => return Ok(Err(why)),
        };
        let files = BaseFiles::new(seed, if promised.is_some() { i64::MAX } else { began });
        read_list(&repository, &name, &driver, &cancel, files, promised)
    })
    .await
}

fn read_list(
    repository: &Repository,
    name: &BackupName,
    driver: &Driver,
    cancel: &CancellationToken,
    mut files: BaseFiles,
    promised: Option<ObjectDigest>,
) -> Result<Usable<BaseFiles>> {
    let key = layout::files_metadata_key(name);
    let source = match ObjectSource::open(driver, cancel, repository.store(), &key) {
        Err(Error::Storage(error)) if error.kind() == ErrorKind::NotFound => {
            return Ok(Err("its files_metadata.json is missing".to_owned()));
        }
        opened => opened?,
    };
    let digest = source.whole();
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, source);
    let read = FilesMetadataReader::new(&key, &mut reader).files(|path, file| files.add(&path, &file));
    if let Err(error) = read {
        return unless_io(error);
    }
    std::io::copy(&mut reader, &mut std::io::sink()).map_err(|error| Error::damaged(&key, error))?;
    if promised.is_some() && promised != digest.get().copied() {
        return Ok(Err("its files_metadata.json has another hash than its manifest says".to_owned()));
    }
    Ok(Ok(files.sorted()))
}

/// What the manifest says of files_metadata.json; `None` without a manifest.
fn promised_list(
    repository: &Repository,
    name: &BackupName,
    driver: &Driver,
    cancel: &CancellationToken,
) -> Result<Usable<Option<ObjectDigest>>> {
    let key = layout::manifest_key(name);
    let source = match ObjectSource::open(driver, cancel, repository.store(), &key) {
        Err(Error::Storage(error)) if error.kind() == ErrorKind::NotFound => return Ok(Ok(None)),
        opened => opened?,
    };
    let mut stored = BufReader::with_capacity(BUFFER_BYTES, source);
    let plain = match open_manifest(&repository.cipher, &key, &mut stored) {
        // Written with another key than today's, or damaged: a chain of both could not be restored.
        Err(error @ (Error::Refused { .. } | Error::Damaged { .. })) => return Ok(Err(error.to_string())),
        opened => opened?,
    };
    let list = layout::files_metadata_key(name);
    let mut promised = None;
    let read = read_manifest(plain, |entry| match entry {
        ManifestEntry::Object(object) if list.ends_with(&format!("/{}", object.name)) => {
            promised = Some(ObjectDigest { bytes: object.size, blake3: object.blake3.0 });
        }
        _ => {}
    });
    match read {
        Ok(_) if promised.is_none() => Ok(Err("its manifest does not know files_metadata.json".to_owned())),
        Ok(_) => Ok(Ok(promised)),
        Err(error) => unless_io(error),
    }
}

/// A storage that fails is an error; a document that is damaged makes the backup no base.
fn unless_io<T>(error: formats::Error) -> Result<Usable<T>> {
    match error {
        formats::Error::Read { document, source } => Err(from_io(source, |error| Error::damaged(document, error))),
        damaged => Ok(Err(damaged.to_string())),
    }
}
