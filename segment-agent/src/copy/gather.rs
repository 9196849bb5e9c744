//! Looking up what a copy is planned from: chains, documents and listings of one repository.

use std::collections::{BTreeMap, BTreeSet};

use formats::ao::AoFilesMetadata;
use formats::pax::PaxFilesMetadata;
use formats::{BackupName, layout};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::wal::LogNeed;
use crate::error::Result;
use crate::mark;
use crate::repository::Repository;

/// Requests under way at once.
const REQUESTS_AT_ONCE: usize = 8;

/// Folders whose objects belong to all backups of a segment.
const SHARED_FOLDERS: [&str; 2] = ["aosegments", "paxfiles"];

/// Size of each object, by key.
pub type Objects = BTreeMap<String, u64>;

/// A repository as far as the backups that are copied go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    pub objects: Objects,
    pub backups: Vec<SourceBackup>,
}

/// A backup that is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceBackup {
    pub name: BackupName,
    /// How many backups it is based on.
    pub depth: usize,
    /// Keys of the append-optimized and PAX files that it refers to.
    pub shared: BTreeSet<String>,
    pub log: Option<LogNeed>,
}

/// The backups `wanted`, each with its chain. `log` says what a backup needs of the archive.
pub async fn gather(
    repository: &Repository,
    wanted: &[BackupName],
    mut log: impl AsyncFnMut(&BackupName) -> Result<Option<LogNeed>>,
) -> Result<Source> {
    let mut depths = BTreeMap::new();
    for name in wanted {
        for (depth, backup) in mark::chain(repository, name).await?.into_iter().enumerate() {
            depths.insert(backup, depth);
        }
    }
    let mut backups = Vec::new();
    for (name, depth) in depths {
        let shared = shared_keys(repository, &name).await?;
        let log = log(&name).await?;
        backups.push(SourceBackup { name, depth, shared, log });
    }
    let names: Vec<_> = backups.iter().map(|backup| backup.name.clone()).collect();
    Ok(Source { objects: objects_of(repository, &names).await?, backups })
}

/// The keys in the two documents about shared files. A server without Greenplum has neither.
async fn shared_keys(repository: &Repository, name: &BackupName) -> Result<BTreeSet<String>> {
    let rows: Option<AoFilesMetadata> = repository.find_json(&layout::ao_files_metadata_key(name)).await?;
    let blocks: Option<PaxFilesMetadata> = repository.find_json(&layout::pax_files_metadata_key(name)).await?;
    let rows = rows.unwrap_or_default().files.into_values().map(|file| layout::aosegment_key(&file.storage_path));
    let blocks = blocks.unwrap_or_default().files.into_values().map(|file| layout::paxfile_key(&file.storage_path));
    Ok(rows.chain(blocks).collect())
}

/// Everything in the repository that may belong to `backups`: sentinels, their folders, shared files, the log.
pub async fn objects_of(repository: &Repository, backups: &[BackupName]) -> Result<Objects> {
    let store = repository.store();
    let mut objects = Objects::new();
    for folder in [layout::BASEBACKUPS, layout::WAL] {
        let listing = store.list_folder(folder).await?;
        objects.extend(listing.objects.into_iter().map(|object| (object.key, object.size)));
    }
    let shared = SHARED_FOLDERS.iter().map(|folder| format!("{}/{folder}", layout::BASEBACKUPS));
    let folders: Vec<String> = backups.iter().map(layout::backup_folder).chain(shared).collect();
    let listings: Vec<_> = stream::iter(&folders)
        .map(|folder| store.list(folder))
        .buffer_unordered(REQUESTS_AT_ONCE)
        .try_collect()
        .await?;
    objects.extend(listings.into_iter().flatten().map(|object| (object.key, object.size)));
    Ok(objects)
}
