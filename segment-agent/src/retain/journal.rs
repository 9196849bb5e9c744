//! The document that tells of a deletion under way, and what earlier ones left.

use std::collections::BTreeSet;

use formats::deletion::Deletion;
use formats::{BackupName, ContentId, go_json, layout};
use storage::Store;

use crate::error::Result;

/// The deletions that have begun in a storage and not ended.
#[derive(Debug, Default)]
pub struct Begun {
    keys: Vec<String>,
    documents: Vec<Deletion>,
}

impl Begun {
    /// One listing, and one request for each deletion that was killed.
    pub async fn load(store: &Store) -> Result<Self> {
        let mut begun = Self::default();
        for object in store.list_folder(&layout::deletions_folder()).await?.objects {
            let bytes = store.get(&object.key).await?;
            match go_json::from_slice(&object.key, &bytes) {
                Ok(document) => begun.documents.push(document),
                // It was only a hint: without it, leftovers are taken for old enough later.
                Err(error) => tracing::debug!("{error}"),
            }
            begun.keys.push(object.key);
        }
        Ok(begun)
    }

    /// Backups of the cluster or server that were to go.
    pub fn backups(&self) -> BTreeSet<BackupName> {
        self.documents.iter().flat_map(|document| document.backups.iter().cloned()).collect()
    }

    /// Backups of this segment that were to go.
    pub fn of_segment(&self, content: ContentId) -> BTreeSet<BackupName> {
        self.documents.iter().filter_map(|document| document.segments.get(&content)).flatten().cloned().collect()
    }

    /// To be called before the first object is removed.
    pub async fn add(&mut self, store: &Store, document: &Deletion) -> Result<()> {
        let key = layout::deletion_key(&uuid::Uuid::new_v4().to_string());
        store.put(&key, go_json::to_vec(document).into()).await?;
        self.keys.push(key);
        Ok(())
    }

    /// To be called when all of it has been removed, and all that earlier ones had left.
    pub async fn end(self, store: &Store) -> Result<()> {
        Ok(store.delete(&self.keys).await?)
    }
}
