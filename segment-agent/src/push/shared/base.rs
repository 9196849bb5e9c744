//! What earlier backups stored of shared files, as far as it can still be used.
//!
//! A delta goes on from its parent. Damson writes an entry for every shared file; WAL-G leaves out those whose time of
//! modification has not changed, so the entries of the parent's own parents count for files that it marks as skipped. A full
//! backup reuses what the newest backup of the segment refers to, whether or not that belongs to a finished cluster backup.
//!
//! An entry whose object is missing, or has another length than it must, is not used.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Buf as _;
use codec::Cipher;
use formats::ao::{AoFile, AoFilesMetadata};
use formats::files::FilesMetadataReader;
use formats::pax::{PaxFile, PaxFilesMetadata};
use formats::segment::SegmentSentinel;
use formats::{BackupName, layout};

use super::decision::{Local, Proof, Stored};
use crate::backups;
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::repository::Repository;

/// By path relative to the data directory.
#[derive(Debug, Default)]
pub struct Base {
    pub ao: BTreeMap<String, StoredAo>,
    pub pax: BTreeMap<String, PaxFile>,
}

/// An entry with what the storage says of its object.
#[derive(Debug, PartialEq, Eq)]
pub struct StoredAo {
    pub entry: AoFile,
    /// The restored file ends at the logical end: WAL-G does not note how long a file was.
    pub ends_at_eof: bool,
}

impl Base {
    /// For a delta on `parent`, or for a full backup.
    pub async fn load(repository: &Repository, parent: Option<&BackupName>, monitor: &Monitor) -> Result<Self> {
        let (ao, pax) = match parent {
            Some(parent) => (of_chain(repository, parent).await?, read_pax(repository, parent).await?),
            None => of_newest(repository, monitor).await?,
        };
        let objects = |folder: String, is_needed: bool| async move {
            match is_needed {
                true => repository.store().list(folder.trim_end_matches('/')).await,
                false => Ok(Vec::new()),
            }
        };
        let size_of = |list: Vec<storage::ObjectInfo>| {
            let sizes = list.into_iter().map(|object| (object.key, object.size));
            sizes.collect::<HashMap<String, u64>>()
        };
        let ao_sizes = size_of(objects(layout::aosegment_key(""), !ao.is_empty()).await?);
        let pax_sizes = size_of(objects(layout::paxfile_key(""), !pax.is_empty()).await?);
        let before = ao.len() + pax.len();
        let base = Self {
            ao: usable_ao(ao, &repository.cipher, |key| ao_sizes.get(key).copied()),
            pax: usable_pax(pax, &repository.cipher, |key| pax_sizes.get(key).copied()),
        };
        let lost = before - base.ao.len() - base.pax.len();
        if lost > 0 {
            monitor.warn(format!(
                "{lost} files of append-optimized tables are stored anew: earlier backups refer to objects that are missing or have another length"
            ));
        }
        Ok(base)
    }
}

/// A newest backup that cannot be read only costs the reuse.
async fn of_newest(
    repository: &Repository,
    monitor: &Monitor,
) -> Result<(BTreeMap<String, AoFile>, BTreeMap<String, PaxFile>)> {
    let Some(newest) = backups::newest(repository).await? else { return Ok(Default::default()) };
    let read = async { Ok((read_ao(repository, &newest).await?, read_pax(repository, &newest).await?)) };
    match read.await {
        Err(error @ Error::Damaged { .. }) => {
            monitor.warn(format!("nothing of backup {newest} is reused: {error}"));
            Ok(Default::default())
        }
        read => read,
    }
}

/// Entries that hold for files as `parent` restores them.
async fn of_chain(repository: &Repository, parent: &BackupName) -> Result<BTreeMap<String, AoFile>> {
    // Newest first.
    let mut chain = vec![parent.clone()];
    while let Some(backup) = chain.last() {
        // Whoever wrote a manifest wrote all entries.
        if repository.store().head(&layout::manifest_key(backup)).await?.is_some() {
            break;
        }
        let sentinel: SegmentSentinel = repository.get_json(&layout::sentinel_key(backup)).await?;
        let base = sentinel.delta_base().map_err(|error| Error::damaged(layout::sentinel_key(backup), error))?;
        match base {
            Some(base) if !chain.contains(&base.from) => chain.push(base.from),
            _ => break,
        }
    }
    let mut entries = BTreeMap::new();
    for backup in chain.iter().rev() {
        let own = read_ao(repository, backup).await?;
        let older: BTreeMap<String, AoFile> =
            entries.into_iter().filter(|(path, _): &(String, AoFile)| !own.contains_key(path)).collect();
        entries = if older.is_empty() { own } else { carried_over(older, own, &skipped(repository, backup).await?) };
    }
    Ok(entries)
}

/// What holds after a backup with the entries `own`: they, and older ones of files that it skipped.
fn carried_over(
    older: BTreeMap<String, AoFile>,
    own: BTreeMap<String, AoFile>,
    skipped: &BTreeSet<String>,
) -> BTreeMap<String, AoFile> {
    let mut entries = older;
    entries.retain(|path, _| skipped.contains(path));
    entries.extend(own);
    entries
}

/// Files that a backup took over from its parent.
async fn skipped(repository: &Repository, backup: &BackupName) -> Result<BTreeSet<String>> {
    let key = layout::files_metadata_key(backup);
    let body = repository.store().get(&key).await?;
    let mut paths = BTreeSet::new();
    let read = FilesMetadataReader::new(&key, body.reader()).files(|path, file| {
        if file.is_skipped && pgdata::RelationPath::parse(&path).is_some() {
            paths.insert(path);
        }
    });
    read.map_err(|error| Error::damaged(key, error))?;
    Ok(paths)
}

async fn read_ao(repository: &Repository, backup: &BackupName) -> Result<BTreeMap<String, AoFile>> {
    let document: Option<AoFilesMetadata> = repository.find_json(&layout::ao_files_metadata_key(backup)).await?;
    Ok(document.unwrap_or_default().files)
}

async fn read_pax(repository: &Repository, backup: &BackupName) -> Result<BTreeMap<String, PaxFile>> {
    let document: Option<PaxFilesMetadata> = repository.find_json(&layout::pax_files_metadata_key(backup)).await?;
    Ok(document.unwrap_or_default().files)
}

/// Entries whose object is there, with a length that it may have. `size_of` tells it by key.
fn usable_ao(
    entries: BTreeMap<String, AoFile>,
    cipher: &Cipher,
    size_of: impl Fn(&str) -> Option<u64>,
) -> BTreeMap<String, StoredAo> {
    let usable = entries.into_iter().filter_map(|(path, entry)| {
        let object_bytes = size_of(&layout::aosegment_key(&entry.storage_path))?;
        let least = cipher.stored_bytes(entry.size.unwrap_or_else(|| u64::try_from(entry.eof).unwrap_or(0)));
        let ends_at_eof = entry.is_incremented || object_bytes == least;
        let is_whole = match (entry.is_incremented, entry.size) {
            (true, _) => true,
            (false, Some(_)) => object_bytes == least,
            (false, None) => object_bytes >= least,
        };
        is_whole.then_some((path, StoredAo { entry, ends_at_eof }))
    });
    usable.collect()
}

fn usable_pax(
    mut entries: BTreeMap<String, PaxFile>,
    cipher: &Cipher,
    size_of: impl Fn(&str) -> Option<u64>,
) -> BTreeMap<String, PaxFile> {
    entries.retain(|_, entry| {
        let object_bytes = size_of(&layout::paxfile_key(&entry.storage_path));
        object_bytes.is_some_and(|bytes| entry.size.is_none_or(|size| bytes == cipher.stored_bytes(size)))
    });
    entries
}

impl StoredAo {
    /// What decides about the file.
    pub fn stored(&self) -> Stored {
        let entry = &self.entry;
        let (initial_upload_time, is_incremented) = (entry.initial_upload_time, entry.is_incremented);
        let common = |proved_bytes, is_all, proof, seen| Stored {
            initial_upload_time,
            is_incremented,
            proved_bytes,
            is_all,
            proof,
            seen,
        };
        if let (Some(bytes), Some(hash)) = (entry.size, entry.blake3) {
            let seen = entry.inode.zip(entry.timeline).map(|(inode, timeline)| {
                let modified_nanos = entry.mtime.unix_nanos();
                Local { bytes, modified_nanos, inode, timeline, eof: entry.eof }
            });
            return common(bytes, true, Some(Proof::Blake3(hash)), seen);
        }
        let proof = (!entry.checksum.is_empty()).then(|| Proof::Xxh3(entry.checksum.clone()));
        let (bytes, proof) = match u64::try_from(entry.eof) {
            Ok(bytes) => (bytes, proof),
            Err(_) => (0, None),
        };
        common(bytes, self.ends_at_eof, proof, None)
    }
}

/// The same of a PAX file; WAL-G notes no hash of them.
pub fn stored_pax(entry: &PaxFile) -> Stored {
    Stored {
        initial_upload_time: entry.initial_upload_time,
        is_incremented: false,
        proved_bytes: entry.size.unwrap_or(0),
        is_all: true,
        proof: entry.size.and(entry.blake3).map(Proof::Blake3),
        seen: None,
    }
}
