//! Append-optimized and PAX files, which the backups of a segment share: an object stays while any backup that stays names it.

use std::collections::BTreeSet;

use bytes::Bytes;
use formats::ao::AoFilesMetadata;
use formats::pax::PaxFilesMetadata;
use formats::{BackupName, go_json, layout};
use futures::stream::{self, StreamExt};
use storage::{ErrorKind, ObjectInfo, Store};

use super::Age;
use super::inventory::{Inventory, REQUESTS_AT_ONCE};
use crate::error::{Error, Result};

/// One of the two kinds.
#[derive(Clone, Copy)]
enum Kind {
    Ao,
    Pax,
}

impl Kind {
    fn metadata_key(self, backup: &BackupName) -> String {
        match self {
            Self::Ao => layout::ao_files_metadata_key(backup),
            Self::Pax => layout::pax_files_metadata_key(backup),
        }
    }

    fn object_key(self, storage_path: &str) -> String {
        match self {
            Self::Ao => layout::aosegment_key(storage_path),
            Self::Pax => layout::paxfile_key(storage_path),
        }
    }

    fn keys(self, key: &str, bytes: &Bytes) -> Result<BTreeSet<String>> {
        let damaged = |error| Error::damaged(key, error);
        let paths: Vec<String> = match self {
            Self::Ao => {
                let document: AoFilesMetadata = go_json::from_slice(key, bytes).map_err(damaged)?;
                document.files.into_values().map(|file| file.storage_path).collect()
            }
            Self::Pax => {
                let document: PaxFilesMetadata = go_json::from_slice(key, bytes).map_err(damaged)?;
                document.files.into_values().map(|file| file.storage_path).collect()
            }
        };
        Ok(paths.iter().map(|path| self.object_key(path)).collect())
    }
}

/// What is found out about the shared objects of a repository.
#[derive(Debug, Default)]
pub(super) struct Unshared {
    pub objects: Vec<ObjectInfo>,
    /// Objects that nobody names but that are young.
    pub young: usize,
    pub problems: Vec<String>,
}

/// The shared objects that go with the backups `gone`.
pub(super) async fn unshared(
    store: &Store,
    inventory: &Inventory,
    gone: &BTreeSet<&BackupName>,
    age: Age,
) -> Result<Unshared> {
    let mut found = Unshared::default();
    for (kind, exists, folder) in
        [(Kind::Ao, inventory.has_ao, "aosegments"), (Kind::Pax, inventory.has_pax, "paxfiles")]
    {
        if !exists {
            continue;
        }
        let objects = store.list(&format!("{}/{folder}", layout::BASEBACKUPS)).await?;
        let kept = inventory.finished.keys().filter(|name| !gone.contains(name));
        match references(store, kind, kept).await {
            Ok(kept) => {
                let going = references_or_none(store, kind, gone).await;
                choose(objects, &kept, &going, age, &mut found);
            }
            Err(error) => found.problems.push(format!("no object of {folder} is removed: {error}")),
        }
    }
    Ok(found)
}

/// Pure: what nobody names goes, unless a push that is not known of may have written it just now.
fn choose(objects: Vec<ObjectInfo>, kept: &BTreeSet<String>, going: &BTreeSet<String>, age: Age, found: &mut Unshared) {
    for object in objects {
        if kept.contains(&object.key) {
            continue;
        }
        if going.contains(&object.key) || !age.is_young(object.modified) {
            found.objects.push(object);
        } else {
            found.young += 1;
        }
    }
}

/// Keys of all objects that these backups name; an error if one of them cannot tell.
async fn references<'a>(
    store: &Store,
    kind: Kind,
    backups: impl Iterator<Item = &'a BackupName>,
) -> Result<BTreeSet<String>> {
    let requests: Vec<_> = backups.map(|backup| named_by(store, kind, backup)).collect();
    let mut keys = BTreeSet::new();
    let mut answers = stream::iter(requests).buffer_unordered(REQUESTS_AT_ONCE);
    while let Some(answer) = answers.next().await {
        keys.append(&mut answer?);
    }
    Ok(keys)
}

/// For backups that go: a document that is missing or damaged names nothing.
async fn references_or_none(store: &Store, kind: Kind, backups: &BTreeSet<&BackupName>) -> BTreeSet<String> {
    let requests: Vec<_> = backups.iter().map(|backup| named_by(store, kind, backup)).collect();
    let answers: Vec<_> = stream::iter(requests).buffer_unordered(REQUESTS_AT_ONCE).collect().await;
    answers.into_iter().flatten().flatten().collect()
}

async fn named_by(store: &Store, kind: Kind, backup: &BackupName) -> Result<BTreeSet<String>> {
    let key = kind.metadata_key(backup);
    match store.get(&key).await {
        Ok(bytes) => kind.keys(&key, &bytes),
        // Releases from before there were PAX files wrote no list of them.
        Err(error) if error.kind() == ErrorKind::NotFound && matches!(kind, Kind::Pax) => {
            match store.head(&layout::ao_files_metadata_key(backup)).await? {
                Some(_) => Ok(BTreeSet::new()),
                None => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}
