//! One backup of a chain as it is stored, read and checked.

use std::collections::{BTreeMap, BTreeSet};

use formats::segment::SegmentSentinel;
use formats::{BackupName, layout};
use storage::ObjectInfo;
use tokio_util::sync::CancellationToken;

use super::FetchRequest;
use super::documents::Documents;
use super::plan::{FileList, LevelPlan, Stored, is_last_archive};
use super::proofs::Proofs;
use super::shared::Shared;
use crate::bridge::Driver;
use crate::error::{Error, Result};
use crate::repository::Repository;

/// Reads one backup after the other.
pub struct ChainReader<'a> {
    pub repository: &'a Repository,
    pub request: &'a FetchRequest,
    pub driver: &'a Driver,
    pub cancel: &'a CancellationToken,
    pub seen: BTreeSet<BackupName>,
}

/// One backup of the chain as it is stored.
pub struct Link {
    pub backup: BackupName,
    pub sentinel: SegmentSentinel,
    /// By key inside the backup's folder.
    pub objects: BTreeMap<String, ObjectInfo>,
    pub proofs: Option<Proofs>,
    pub files: Option<FileList>,
    pub shared: BTreeMap<Box<str>, Shared>,
}

impl ChainReader<'_> {
    pub fn documents<'b>(&'b self, backup: &'b BackupName) -> Documents<'b> {
        Documents { repository: self.repository, backup, driver: self.driver, cancel: self.cancel }
    }

    pub async fn read(&mut self, backup: &BackupName) -> Result<Link> {
        if !self.seen.insert(backup.clone()) {
            let why = "the backup is based on itself, over others or directly";
            return Err(Error::damaged(layout::sentinel_key(backup), why));
        }
        let is_newest = self.seen.len() == 1;
        let sentinel: Option<SegmentSentinel> = self.repository.find_json(&layout::sentinel_key(backup)).await?;
        let sentinel = sentinel.ok_or_else(|| self.unknown(backup, is_newest))?;
        let is_delta = delta_base(&sentinel, backup)?.is_some();
        let objects = self.objects(backup).await?;
        let documents = self.documents(backup);
        let proofs = documents.proofs(&objects).await?;
        let listed = match sentinel.files_metadata_disabled {
            true => None,
            false => documents.file_list(proofs.as_ref()).await?,
        };
        let legacy = || (!sentinel.legacy_files.is_empty()).then(|| FileList::of_legacy(&sentinel));
        let files = listed.or_else(legacy);
        let must_have = is_delta || (!is_newest && !sentinel.files_metadata_disabled);
        if files.is_none() && must_have {
            let why = "it is missing, and without it the files of a delta cannot be put together";
            return Err(Error::damaged(layout::files_metadata_key(backup), why));
        }
        let shared = documents.shared_files(proofs.as_ref(), self.request.of_cluster).await?;
        Ok(Link { backup: backup.clone(), sentinel, objects, proofs, files, shared })
    }

    fn unknown(&self, backup: &BackupName, is_newest: bool) -> Error {
        let storage = self.repository.store().describe();
        if is_newest {
            let what = format!("Backup '{backup}' does not exist in {storage}");
            return Error::refused(what, "list the backups with backup-list; check the storage prefix in the settings");
        }
        let what = format!(
            "{} is a delta, and backup {backup}, on which it rests, does not exist in {storage}",
            self.request.backup
        );
        Error::refused(
            what,
            "the delta cannot be restored without it: choose another backup, or bring it back from a copy of the storage",
        )
    }

    /// Objects in the backup's folder, by their key inside it.
    async fn objects(&self, backup: &BackupName) -> Result<BTreeMap<String, ObjectInfo>> {
        let folder = layout::backup_folder(backup);
        let objects = self.repository.store().list(&folder).await?;
        let named = objects.into_iter().filter_map(|object| {
            let name = object.key.strip_prefix(&folder)?.trim_start_matches('/').to_owned();
            Some((name, object))
        });
        Ok(named.collect())
    }
}

/// The backup that a delta is based on. A catchup has an empty name there, and is whole.
pub fn delta_base(sentinel: &SegmentSentinel, backup: &BackupName) -> Result<Option<BackupName>> {
    if sentinel.delta_from.as_ref().is_some_and(String::is_empty) {
        return Ok(None);
    }
    let base = sentinel.delta_base().map_err(|error| Error::damaged(layout::sentinel_key(backup), error))?;
    Ok(base.map(|base| base.from))
}

impl Link {
    /// Hands over what the plan is made from.
    pub fn stored(&mut self, is_delta: bool) -> Stored {
        let archives = self.objects.iter().filter_map(|(name, object)| {
            let file_name = name.strip_prefix("tar_partitions/").filter(|name| name.contains(".tar"))?;
            Some((file_name.to_owned(), object.size))
        });
        let files = self.files.take();
        let promised = match (&files, &self.proofs) {
            (None, Some(proofs)) => proofs.files.keys().cloned().collect(),
            _ => Vec::new(),
        };
        Stored {
            backup: self.backup.clone(),
            is_delta,
            files,
            shared: std::mem::take(&mut self.shared),
            archives: archives.collect(),
            promised,
        }
    }

    /// Of what the manifest promises, all that will be read must be there in full length.
    pub fn check_objects(&self, plan: &LevelPlan, is_newest: bool) -> Result<()> {
        let Some(proofs) = &self.proofs else { return Ok(()) };
        let needed: BTreeSet<&str> = plan.archives.iter().map(String::as_str).collect();
        let is_needed = |name: &str| match name.strip_prefix("tar_partitions/") {
            None => true,
            Some(name) => plan.everything || needed.contains(name) || (is_newest && is_last_archive(name)),
        };
        for (name, proof) in proofs.objects.iter().filter(|(name, _)| is_needed(name)) {
            let found = self.objects.get(&**name).map(|object| object.size);
            if found != Some(proof.bytes) {
                let is = found.map_or("it is missing".to_owned(), |bytes| format!("it has {bytes} bytes"));
                let why = format!("the manifest promises {} bytes, but {is}", proof.bytes);
                return Err(Error::damaged(format!("{}/{name}", layout::backup_folder(&self.backup)), why));
            }
        }
        Ok(())
    }

    /// The archive of the label, if there is one, and that of the control file.
    pub fn last_archives(&self) -> Result<Vec<String>> {
        let find = |start: &str| {
            let names = self.objects.keys().filter_map(|name| name.strip_prefix("tar_partitions/"));
            names.into_iter().find(|name| name.starts_with(start)).map(str::to_owned)
        };
        let Some(control) = find(layout::CONTROL_TAR) else {
            let why = "the archive with the control file is missing";
            return Err(Error::damaged(layout::part_key(&self.backup, layout::CONTROL_TAR), why));
        };
        Ok(find(layout::LABEL_TAR).into_iter().chain([control]).collect())
    }
}
