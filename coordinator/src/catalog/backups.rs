//! The backups of a cluster.

use chrono::{DateTime, Utc};
use formats::BackupName;
use formats::cluster::ClusterSentinel;
use formats::layout::{self, BASEBACKUPS};
pub use segment_agent::backups::Backup;
use storage::{ObjectInfo, Store};

use super::document::{self, Reading};
use super::{Error, select};

/// A backup whose sentinel was read.
#[derive(Clone, Debug, PartialEq)]
pub struct BackupDetail {
    pub name: BackupName,
    pub modified: DateTime<Utc>,
    pub sentinel: ClusterSentinel,
}

/// All backups of the cluster whose storage is `store` (its root, not that of a segment).
#[derive(Clone, Debug)]
pub struct Backups {
    store: Store,
    entries: Vec<Backup>,
}

impl Backups {
    /// One listing, no other request.
    pub async fn load(store: &Store) -> Result<Self, Error> {
        let listing = store.list_folder(BASEBACKUPS).await?;
        Ok(Self::from_objects(store, &listing.objects))
    }

    pub(super) fn from_objects(store: &Store, objects: &[ObjectInfo]) -> Self {
        let entry = |object: &ObjectInfo| {
            let name = layout::backup_name_of_sentinel_key(&object.key)?;
            Some(Backup { name, modified: object.modified })
        };
        let mut entries: Vec<Backup> = objects.iter().filter_map(entry).collect();
        entries.sort_by_key(|backup| backup.modified);
        Self { store: store.clone(), entries }
    }

    /// Oldest modification first; those of one instant by name.
    pub fn entries(&self) -> &[Backup] {
        &self.entries
    }

    /// One request; [`Error::NoSuchBackup`] if the listing does not hold the backup.
    pub async fn detail(&self, name: &BackupName) -> Result<BackupDetail, Error> {
        let Backup { name, modified } = select::by_name(&self.entries, name)?.clone();
        let sentinel = document::read(&self.store, layout::sentinel_key(&name)).await?;
        Ok(BackupDetail { name, modified, sentinel })
    }

    /// One request for each backup; the details are in the order of [`Self::entries`].
    pub async fn details(&self) -> Reading<BackupDetail> {
        let key = |backup: &Backup| layout::sentinel_key(&backup.name);
        document::read_all(&self.store, &self.entries, key, |backup: &Backup, sentinel| BackupDetail {
            name: backup.name.clone(),
            modified: backup.modified,
            sentinel,
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden;
    use super::*;
    use bytes::Bytes;
    use futures::executor::block_on;
    use storage::{ErrorKind, FaultPlan, Operation, RequestCounts};

    #[test]
    fn a_plain_list_is_one_request_and_details_one_more_each() {
        let (_directory, store) = golden::store();
        let backups = block_on(Backups::load(&store)).unwrap();
        assert_eq!(store.requests(), RequestCounts { lists: 1, ..RequestCounts::default() });
        let names: Vec<&str> = backups.entries().iter().map(|backup| backup.name.as_str()).collect();
        assert_eq!(names, [golden::FULL, golden::DELTA_1, golden::DELTA_2]);

        let newest = block_on(backups.detail(&golden::DELTA_2.parse().unwrap())).unwrap();
        assert_eq!(newest.sentinel.increment_count, Some(2));
        let counts = store.requests();
        assert_eq!((counts.lists, counts.reads, counts.heads), (1, 1, 0));

        let reading = block_on(backups.details());
        assert_eq!((reading.found.len(), reading.unreadable.len()), (3, 0));
        let counts = store.requests();
        assert_eq!((counts.lists, counts.reads, counts.heads), (1, 4, 0));
    }

    #[test]
    fn the_number_of_other_objects_does_not_matter() {
        let store = Store::memory();
        for number in 0..50 {
            for key in [format!("basebackups_005/b{number}/metadata.json"), format!("basebackups_005/p{number}.txt")] {
                block_on(store.put(&key, Bytes::new())).unwrap();
            }
        }
        let before = store.requests();
        let backups = block_on(Backups::load(&store)).unwrap();
        assert_eq!(backups.entries(), []);
        assert_eq!(store.requests(), RequestCounts { lists: before.lists + 1, ..before });
    }

    #[test]
    fn an_unreadable_sentinel_hides_no_other() {
        let (directory, store) = golden::store();
        let damaged =
            directory.path().join(format!("store/basebackups_005/{}_backup_stop_sentinel.json", golden::FULL));
        std::fs::write(&damaged, b"{\"restore_point\":").unwrap();
        let faulty =
            store.failing(FaultPlan::nth(1).of(Operation::Read).on_key(golden::DELTA_1).with(ErrorKind::Denied));
        let backups = block_on(Backups::load(&faulty)).unwrap();
        let reading = block_on(backups.details());
        let names: Vec<&str> = reading.found.iter().map(|backup| backup.name.as_str()).collect();
        assert_eq!(names, [golden::DELTA_2]);
        let errors: Vec<String> = reading.unreadable.iter().map(Error::to_string).collect();
        assert_eq!(errors.len(), 2);
        // The damaged file was written last.
        assert!(errors[0].contains(golden::DELTA_1) && errors[0].contains("denied"), "{errors:?}");
        assert!(errors[1].contains(golden::FULL) && errors[1].contains("malformed"), "{errors:?}");
    }

    #[test]
    fn a_backup_deleted_after_the_listing_is_no_error() {
        let (directory, store) = golden::store();
        let backups = block_on(Backups::load(&store)).unwrap();
        let sentinel =
            directory.path().join(format!("store/basebackups_005/{}_backup_stop_sentinel.json", golden::FULL));
        std::fs::remove_file(sentinel).unwrap();
        let reading = block_on(backups.details());
        assert_eq!((reading.found.len(), reading.unreadable.len()), (2, 0));
    }

    #[test]
    fn no_mutation_of_a_sentinel_panics() {
        let (directory, _store) = golden::store();
        let path =
            directory.path().join(format!("store/basebackups_005/{}_backup_stop_sentinel.json", golden::DELTA_1));
        let original = std::fs::read(path).unwrap();
        let key = "basebackups_005/b_backup_stop_sentinel.json";
        for cut in 0..original.len() {
            let store = Store::memory();
            let mut flipped = original.clone();
            flipped[cut] ^= 0x15;
            for bytes in [original[..cut].to_vec(), flipped] {
                block_on(store.put(key, bytes.into())).unwrap();
                let reading = block_on(block_on(Backups::load(&store)).unwrap().details());
                assert_eq!(reading.found.len() + reading.unreadable.len(), 1);
            }
        }
    }
}
