//! What a restore will read, decided and checked before anything is written.

use std::collections::{BTreeMap, BTreeSet};

use formats::segment::SegmentSentinel;
use formats::{BackupName, TablespaceSpec, layout};
use storage::ObjectInfo;
use tokio_util::sync::CancellationToken;

use super::FetchRequest;
use super::documents::Documents;
use super::extract::Job;
use super::proofs::Proofs;
use crate::bridge::Driver;
use crate::error::{Error, Result};
use crate::repository::Repository;

pub struct FetchPlan {
    /// Objects in any order.
    pub jobs: Vec<Job>,
    /// Objects that come after all others, in this order.
    pub last_jobs: Vec<Job>,
    pub proofs: Option<Proofs>,
    pub tablespaces: TablespaceSpec,
    pub uncompressed_bytes: u64,
}

/// Reads the backup's metadata and checks that every object is there.
pub async fn make(
    repository: &Repository,
    request: &FetchRequest,
    driver: &Driver,
    cancel: &CancellationToken,
) -> Result<FetchPlan> {
    let backup = &request.backup;
    let sentinel: SegmentSentinel =
        repository.find_json(&layout::sentinel_key(backup)).await?.ok_or_else(|| unknown(repository, backup))?;
    if let Some(base) = sentinel.delta_from.as_ref().filter(|base| !base.is_empty()) {
        let what = format!("{backup} is a delta of {base}");
        return Err(Error::refused(what, "this version restores full backups; choose one from the list of backups"));
    }
    let objects = objects_by_name(repository, backup).await?;
    let documents = Documents { repository, backup, driver, cancel };
    let proofs = documents.proofs(&objects).await?;
    let (parts, last) = split_archives(&objects, backup)?;
    let listed = match sentinel.files_metadata_disabled {
        true => BTreeSet::new(),
        false => documents.listed_archives(proofs.as_ref()).await?,
    };
    refuse_missing(backup, &listed, &objects)?;
    let archive = |name: String| Job::Archive { key: layout::part_key(backup, &name), name };
    let mut jobs: Vec<_> = parts.into_iter().map(archive).collect();
    jobs.extend(documents.shared_objects(proofs.as_ref(), request.of_cluster).await?);
    Ok(FetchPlan {
        jobs,
        last_jobs: last.into_iter().map(archive).collect(),
        proofs,
        tablespaces: request.tablespaces.clone().or(sentinel.tablespaces).unwrap_or_default(),
        uncompressed_bytes: u64::try_from(sentinel.uncompressed_size).unwrap_or(0),
    })
}

fn refuse_missing(
    backup: &BackupName,
    listed: &BTreeSet<String>,
    objects: &BTreeMap<String, ObjectInfo>,
) -> Result<()> {
    let is_missing = |part: &&String| !objects.contains_key(&format!("tar_partitions/{part}"));
    let missing: Vec<_> = listed.iter().filter(is_missing).collect();
    let Some(first) = missing.first() else { return Ok(()) };
    let why = format!("{} of the {} archives that its metadata lists are missing", missing.len(), listed.len());
    Err(Error::damaged(layout::part_key(backup, first), why))
}

fn unknown(repository: &Repository, backup: &BackupName) -> Error {
    let what = format!("Backup '{backup}' does not exist in {}", repository.store().describe());
    Error::refused(what, "list the backups with backup-list; check the storage prefix in the settings")
}

/// Objects in the backup's folder, by their key inside it.
async fn objects_by_name(repository: &Repository, backup: &BackupName) -> Result<BTreeMap<String, ObjectInfo>> {
    let folder = layout::backup_folder(backup);
    let objects = repository.store().list(&folder).await?;
    let named = objects.into_iter().filter_map(|object| {
        let name = object.key.strip_prefix(&folder)?.trim_start_matches('/').to_owned();
        Some((name, object))
    });
    Ok(named.collect())
}

/// Parts (largest first, so that none is left for the end), and the archives that must come last, in order.
fn split_archives(objects: &BTreeMap<String, ObjectInfo>, backup: &BackupName) -> Result<(Vec<String>, Vec<String>)> {
    let (mut parts, mut label, mut control) = (Vec::new(), None, None);
    for (name, object) in objects {
        let Some(file_name) = name.strip_prefix("tar_partitions/") else { continue };
        if file_name.starts_with(layout::CONTROL_TAR) {
            control = Some(file_name.to_owned());
        } else if file_name.starts_with(layout::LABEL_TAR) {
            label = Some(file_name.to_owned());
        } else if file_name.contains(".tar") {
            parts.push((object.size, file_name.to_owned()));
        }
    }
    let Some(control) = control else {
        return Err(Error::damaged(
            layout::part_key(backup, layout::CONTROL_TAR),
            "the archive with the control file is missing",
        ));
    };
    parts.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let last = label.into_iter().chain([control]).collect();
    Ok((parts.into_iter().map(|(_, name)| name).collect(), last))
}
