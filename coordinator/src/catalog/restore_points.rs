//! The restore points of a cluster: those of its backups and those that users made.

use chrono::{DateTime, Utc};
use formats::check_restore_point_name;
use formats::cluster::RestorePoint;
use formats::layout::{self, BASEBACKUPS};
use storage::{ErrorKind, ObjectInfo, Store};

use super::Error;
use super::document::{self, Reading};

/// A restore point as a listing of the storage shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestorePointEntry {
    pub name: String,
    /// When its document was stored, by the clock of the storage.
    pub modified: DateTime<Utc>,
}

/// All restore points of the cluster whose storage is `store` (its root, not that of a segment).
#[derive(Clone, Debug)]
pub struct RestorePoints {
    store: Store,
    entries: Vec<RestorePointEntry>,
}

impl RestorePoints {
    /// One listing, no other request.
    pub async fn load(store: &Store) -> Result<Self, Error> {
        let listing = store.list_folder(BASEBACKUPS).await?;
        Ok(Self::from_objects(store, &listing.objects))
    }

    pub(super) fn from_objects(store: &Store, objects: &[ObjectInfo]) -> Self {
        let entry = |object: &ObjectInfo| {
            let name = layout::restore_point_name_of_key(&object.key)?;
            Some(RestorePointEntry { name, modified: object.modified })
        };
        let mut entries: Vec<RestorePointEntry> = objects.iter().filter_map(entry).collect();
        entries.sort_by_key(|point| point.modified);
        Self { store: store.clone(), entries }
    }

    /// Oldest modification first; those of one instant by name.
    pub fn entries(&self) -> &[RestorePointEntry] {
        &self.entries
    }

    /// One request. [`Error::NoSuchRestorePoint`] if there is no such document.
    pub async fn document(&self, name: &str) -> Result<RestorePoint, Error> {
        check_restore_point_name(name)?;
        match document::read(&self.store, layout::restore_point_key(name)).await {
            Err(Error::Storage(error)) if error.kind() == ErrorKind::NotFound => {
                Err(Error::NoSuchRestorePoint { name: name.to_owned() })
            }
            other => other,
        }
    }

    /// One request for each restore point; the documents are in the order of [`Self::entries`].
    pub async fn documents(&self) -> Reading<RestorePoint> {
        let key = |point: &RestorePointEntry| layout::restore_point_key(&point.name);
        document::read_all(&self.store, &self.entries, key, |_: &RestorePointEntry, document| document).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden;
    use super::*;
    use futures::executor::block_on;
    use storage::RequestCounts;

    #[test]
    fn restore_points_of_a_real_cluster() {
        let (_directory, store) = golden::store();
        let points = block_on(RestorePoints::load(&store)).unwrap();
        assert_eq!(store.requests(), RequestCounts { lists: 1, ..RequestCounts::default() });
        let names: Vec<&str> = points.entries().iter().map(|point| point.name.as_str()).collect();
        assert_eq!(names, [golden::FULL, golden::DELTA_1, "after_backup_2", "after_damage", golden::DELTA_2]);

        let reading = block_on(points.documents());
        assert_eq!((reading.found.len(), reading.unreadable.len()), (5, 0));
        assert_eq!(store.requests().reads, 5);
        assert_eq!(block_on(points.document("after_damage")).unwrap().name, "after_damage");
        assert!(matches!(block_on(points.document("nope")), Err(Error::NoSuchRestorePoint { .. })));
        assert!(matches!(block_on(points.document("../x")), Err(Error::Name(_))));
    }
}
