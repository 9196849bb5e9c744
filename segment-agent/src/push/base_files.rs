//! What the base of a delta says of its files: when each was last modified.

use std::io::BufReader;

use formats::files::{FileDescription, FilesMetadataReader};
use formats::manifest::{ManifestEntry, read_manifest};
use formats::segment::SegmentSentinel;
use formats::{BackupName, layout};
use storage::ErrorKind;
use tokio_util::sync::CancellationToken;

use super::base::Usable;
use super::walk::CLOCK_TICK_NANOS;
use crate::bridge::{Driver, ObjectDigest, ObjectSource, on_worker};
use crate::error::{Error, Result, from_io};
use crate::fetch::open_manifest;
use crate::repository::Repository;

/// Bytes that a reader of a large document holds.
const BUFFER_BYTES: usize = 1 << 20;

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
pub async fn load_files(
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
