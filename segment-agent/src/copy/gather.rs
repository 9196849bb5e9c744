//! Looking up what a copy is planned from: chains, documents and listings of one repository.

use std::collections::{BTreeMap, BTreeSet};

use formats::ao::AoFilesMetadata;
use formats::pax::PaxFilesMetadata;
use formats::{BackupName, layout};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::wal::LogNeed;
use crate::backups;
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
    /// Place in the order in which the backups were stored, behind what it is based on.
    pub rank: usize,
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
    let mut chains = Vec::new();
    for name in wanted {
        chains.push(mark::chain(repository, name).await?);
    }
    let stored: Vec<_> = backups::list(repository).await?.into_iter().map(|backup| backup.name).collect();
    let mut backups = Vec::new();
    for (name, rank) in ranks(&chains, &stored) {
        let shared = shared_keys(repository, &name).await?;
        let log = log(&name).await?;
        backups.push(SourceBackup { name, rank, shared, log });
    }
    let names: Vec<_> = backups.iter().map(|backup| backup.name.clone()).collect();
    Ok(Source { objects: objects_of(repository, &names).await?, backups })
}

/// The place of each backup of `chains`: that in `stored`, but behind the backup that it is based on.
fn ranks(chains: &[Vec<BackupName>], stored: &[BackupName]) -> BTreeMap<BackupName, usize> {
    let mut ranks = BTreeMap::new();
    for chain in chains {
        let mut lowest = 0;
        for name in chain {
            let place = stored.iter().position(|known| known == name).unwrap_or(stored.len());
            let rank = ranks.entry(name.clone()).or_insert(place);
            *rank = lowest.max(*rank);
            lowest = *rank + 1;
        }
    }
    ranks
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_source_stays_and_a_base_is_before_its_deltas() {
        let names = |text: &str| text.split(' ').map(|name| name.parse::<BackupName>().unwrap()).collect::<Vec<_>>();
        let chains = [names("a"), names("a b"), names("c"), names("a b d")];
        let order = |stored: &str| ranks(&chains, &names(stored)).into_values().collect::<Vec<_>>();
        assert_eq!(order("a b c d"), [0, 1, 2, 3]);
        assert_eq!(order("d c b a"), [3, 4, 1, 5]);
    }
}
