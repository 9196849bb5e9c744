//! What one repository holds: one listing of its folder of backups, and the metadata of backups where they matter.

use std::collections::{BTreeMap, BTreeSet};

use formats::segment::{ExtendedMetadata, SegmentSentinel};
use formats::{BackupName, go_json, layout};
use futures::stream::{self, StreamExt, TryStreamExt};
use storage::{ErrorKind, ObjectInfo, Store};

use super::chains::Chains;
use crate::error::{Error, Result};

/// Documents asked for at once.
pub(super) const REQUESTS_AT_ONCE: usize = 16;

/// metadata.json of a backup.
#[derive(Clone, Debug, PartialEq)]
pub enum Known {
    /// It does not matter.
    Unread,
    Missing,
    Read(Box<ExtendedMetadata>),
    Unreadable(String),
}

/// A backup that has a sentinel.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    pub sentinel: ObjectInfo,
    pub metadata: Known,
}

/// The backups of one repository.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    pub finished: BTreeMap<BackupName, Finished>,
    /// Backups that have a folder and no sentinel.
    pub unfinished: BTreeSet<BackupName>,
    pub has_ao: bool,
    pub has_pax: bool,
    pub chains: Chains,
}

const AO: &str = "aosegments";
const PAX: &str = "paxfiles";

impl Inventory {
    /// One listing, and a sentinel for every delta whose name does not tell its base.
    pub async fn load(store: &Store) -> Result<Self> {
        let listing = store.list_folder(layout::BASEBACKUPS).await?;
        let mut inventory = Self::default();
        for object in listing.objects {
            if let Some(name) = layout::backup_name_of_sentinel_key(&object.key) {
                inventory.finished.insert(name, Finished { sentinel: object, metadata: Known::Unread });
            }
        }
        for folder in &listing.folders {
            match folder.rsplit('/').next().unwrap_or_default() {
                AO => inventory.has_ao = true,
                PAX => inventory.has_pax = true,
                name => inventory.add_folder(name),
            }
        }
        let (chains, uncertain) = Chains::from_names(inventory.finished.keys());
        inventory.chains = chains;
        for name in uncertain {
            let base = base_of(store, &name).await?;
            inventory.chains.set(&name, base);
        }
        Ok(inventory)
    }

    /// Folders of other tools are not ours to remove.
    fn add_folder(&mut self, folder: &str) {
        let Ok(name) = BackupName::new(folder) else { return };
        let is_backup = folder.starts_with("base_") && name.wal_file_name().is_some();
        if is_backup && !self.finished.contains_key(&name) {
            self.unfinished.insert(name);
        }
    }

    /// Reads metadata.json of these backups.
    pub async fn read_metadata(&mut self, store: &Store, names: BTreeSet<BackupName>) -> Result<()> {
        let read = |name: BackupName| async move {
            let key = layout::metadata_key(&name);
            let known = match store.get(&key).await {
                Ok(bytes) => match go_json::from_slice(&key, &bytes) {
                    Ok(metadata) => Known::Read(Box::new(metadata)),
                    Err(error) => Known::Unreadable(error.to_string()),
                },
                Err(error) if error.kind() == ErrorKind::NotFound => Known::Missing,
                Err(error) => Known::Unreadable(error.to_string()),
            };
            Ok::<_, Error>((name, known))
        };
        let unread = names
            .into_iter()
            .filter(|name| self.finished.get(name).is_some_and(|backup| backup.metadata == Known::Unread));
        let unread: Vec<_> = unread.map(read).collect();
        let documents: Vec<_> = stream::iter(unread).buffer_unordered(REQUESTS_AT_ONCE).try_collect().await?;
        for (name, known) in documents {
            if let Some(backup) = self.finished.get_mut(&name) {
                backup.metadata = known;
            }
        }
        Ok(())
    }
}

impl Finished {
    pub fn read(&self) -> Option<&ExtendedMetadata> {
        match &self.metadata {
            Known::Read(metadata) => Some(metadata),
            _ => None,
        }
    }

    pub fn is_permanent(&self) -> bool {
        self.read().is_some_and(|metadata| metadata.is_permanent)
    }
}

/// What a sentinel says; a base that is gone is none.
async fn base_of(store: &Store, name: &BackupName) -> Result<Option<BackupName>> {
    let key = layout::sentinel_key(name);
    let bytes = store.get(&key).await?;
    let sentinel: SegmentSentinel = go_json::from_slice(&key, &bytes).map_err(|error| Error::damaged(&key, error))?;
    Ok(sentinel.delta_base().map_err(|error| Error::damaged(&key, error))?.map(|base| base.from))
}
