//! Which backups of a segment a damaged object keeps from being restored: those that were verified and all others.
//!
//! Read only once something is damaged: the sentinels, and the lists of shared files where a shared object is concerned.

use std::collections::{BTreeMap, BTreeSet};

use formats::ao::AoFilesMetadata;
use formats::pax::PaxFilesMetadata;
use formats::segment::SegmentSentinel;
use formats::{BackupName, layout};
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::repository::Repository;

/// What the backups of a segment are made of.
#[derive(Default)]
pub struct Backups {
    base: BTreeMap<BackupName, Option<BackupName>>,
    /// Keys of shared objects by path, and whether the entry is an increment.
    shared: BTreeMap<BackupName, BTreeMap<String, (String, bool)>>,
}

impl Backups {
    /// `with_shared`: also the lists of shared files. Documents that cannot be read count as empty: they are findings already
    /// where they matter.
    pub async fn read(repository: &Repository, with_shared: bool) -> Result<Self> {
        let mut backups = Self::default();
        for object in repository.store().list_folder(layout::BASEBACKUPS).await?.objects {
            let Some(name) = layout::backup_name_of_sentinel_key(&object.key) else { continue };
            let sentinel: Option<SegmentSentinel> = read(repository, &object.key).await?;
            let base = sentinel.and_then(|sentinel| sentinel.delta_from).and_then(|base| BackupName::new(base).ok());
            if with_shared {
                let mut files = BTreeMap::new();
                let ao: Option<AoFilesMetadata> = read(repository, &layout::ao_files_metadata_key(&name)).await?;
                for (path, file) in ao.unwrap_or_default().files {
                    files.insert(path, (layout::aosegment_key(&file.storage_path), file.is_incremented));
                }
                let pax: Option<PaxFilesMetadata> = read(repository, &layout::pax_files_metadata_key(&name)).await?;
                for (path, file) in pax.unwrap_or_default().files {
                    files.insert(path, (layout::paxfile_key(&file.storage_path), false));
                }
                backups.shared.insert(name.clone(), files);
            }
            backups.base.insert(name, base);
        }
        Ok(backups)
    }

    /// Backups that need the object `key`, by name.
    pub fn that_need(&self, key: &str) -> BTreeSet<BackupName> {
        let owns = |name: &&BackupName| {
            key == layout::sentinel_key(name) || key.starts_with(&format!("{}/", layout::backup_folder(name)))
        };
        self.base.keys().filter(|name| self.chain(name).iter().any(owns) || self.shares(name, key)).cloned().collect()
    }

    /// The backup and all below it. A circle ends where it closes.
    fn chain<'a>(&'a self, name: &'a BackupName) -> Vec<&'a BackupName> {
        let mut chain = vec![name];
        let mut at = name;
        while let Some(base) = self.base.get(at).and_then(Option::as_ref)
            && !chain.contains(&base)
        {
            chain.push(base);
            at = base;
        }
        chain
    }

    /// A file's objects are its entry and, while that is an increment, the entries below. A backup without an entry for a file
    /// may have that of its base.
    fn shares(&self, name: &BackupName, key: &str) -> bool {
        let mut whole = BTreeSet::new();
        for name in self.chain(name) {
            let Some(files) = self.shared.get(name) else { continue };
            for (path, (object, is_increment)) in files {
                if whole.contains(path.as_str()) {
                    continue;
                }
                if object == key {
                    return true;
                }
                if !is_increment {
                    whole.insert(path.as_str());
                }
            }
        }
        false
    }
}

async fn read<T: DeserializeOwned>(repository: &Repository, key: &str) -> Result<Option<T>> {
    match repository.find_json(key).await {
        Err(Error::Damaged { .. }) => Ok(None),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> BackupName {
        BackupName::new(text).unwrap()
    }

    /// A full backup, two deltas of it one upon the other, and another full backup.
    fn backups() -> Backups {
        let base = [("a", None), ("b", Some("a")), ("c", Some("b")), ("z", None)];
        let shared = [
            ("a", vec![("/f", "1", false), ("/g", "5", false)]),
            ("b", vec![("/f", "2", true)]),
            ("c", vec![("/f", "3", false)]),
            ("z", vec![("/f", "3", false)]),
        ];
        let entry = |(path, key, is_increment): (&str, &str, bool)| {
            (path.to_owned(), (layout::aosegment_key(key), is_increment))
        };
        Backups {
            base: base.into_iter().map(|(backup, base)| (name(backup), base.map(name))).collect(),
            shared: shared
                .into_iter()
                .map(|(backup, files)| (name(backup), files.into_iter().map(entry).collect()))
                .collect(),
        }
    }

    #[test]
    fn damage_spreads_along_chains_and_over_shared_objects() {
        let needing = |key: &str| {
            let names: Vec<_> = backups().that_need(key).into_iter().map(String::from).collect();
            names.join(" ")
        };
        assert_eq!(needing(&layout::part_key(&name("a"), "part_001.tar.zst")), "a b c");
        assert_eq!(needing(&layout::sentinel_key(&name("b"))), "b c");
        assert_eq!(needing(&layout::metadata_key(&name("z"))), "z");
        assert_eq!(needing(&layout::aosegment_key("1")), "a b");
        assert_eq!(needing(&layout::aosegment_key("2")), "b");
        assert_eq!(needing(&layout::aosegment_key("3")), "c z");
        assert_eq!(needing(&layout::aosegment_key("5")), "a b c");
        assert_eq!(needing("wal_005/000000010000000000000001"), "");
    }

    #[test]
    fn a_circle_of_deltas_ends() {
        let base = [(name("a"), Some(name("b"))), (name("b"), Some(name("a")))].into_iter().collect();
        let backups = Backups { base, shared: BTreeMap::new() };
        assert_eq!(backups.that_need(&layout::metadata_key(&name("a"))).len(), 2);
    }
}
