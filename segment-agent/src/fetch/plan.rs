//! What a restore will read, decided and checked before anything is written.

use std::collections::BTreeMap;
use std::io::Read;

use formats::ao::{AoFile, AoFilesMetadata};
use formats::files::FilesMetadataReader;
use formats::pax::PaxFilesMetadata;
use formats::segment::SegmentSentinel;
use formats::{BackupName, TablespaceSpec, layout};
use storage::ObjectInfo;
use tokio_util::sync::CancellationToken;

use super::FetchRequest;
use super::extract::Job;
use super::proofs::Proofs;
use crate::bridge::{Driver, ObjectSource, on_worker};
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
    let (parts, last) = split_archives(&objects, backup)?;
    let listed = listed_parts(repository, backup, &sentinel, driver, cancel).await?;
    let missing: Vec<_> =
        listed.iter().filter(|part| !objects.contains_key(&format!("tar_partitions/{part}"))).collect();
    if let Some(first) = missing.first() {
        let why = format!("{} of the {} archives that its metadata lists are missing", missing.len(), listed.len());
        return Err(Error::damaged(layout::part_key(backup, first), why));
    }
    let proofs = read_proofs(repository, backup, &objects, driver, cancel).await?;
    let archive = |name: String| Job::Archive { key: layout::part_key(backup, &name), name };
    let mut jobs: Vec<_> = parts.into_iter().map(archive).collect();
    jobs.extend(shared_objects(repository, backup).await?);
    Ok(FetchPlan {
        jobs,
        last_jobs: last.into_iter().map(archive).collect(),
        proofs,
        tablespaces: request.tablespaces.clone().or(sentinel.tablespaces).unwrap_or_default(),
        uncompressed_bytes: u64::try_from(sentinel.uncompressed_size).unwrap_or(0),
    })
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

/// Names of the archives that files_metadata.json lists; nothing where there is no such file, which loses only this check.
async fn listed_parts(
    repository: &Repository,
    backup: &BackupName,
    sentinel: &SegmentSentinel,
    driver: &Driver,
    cancel: &CancellationToken,
) -> Result<Vec<String>> {
    if sentinel.files_metadata_disabled {
        return Ok(Vec::new());
    }
    let key = layout::files_metadata_key(backup);
    let (repository, driver, cancel) = (repository.clone(), driver.clone(), cancel.clone());
    on_worker(move || {
        let source = match ObjectSource::open(&driver, &cancel, repository.store(), &key) {
            Err(Error::Storage(error)) if error.kind() == storage::ErrorKind::NotFound => return Ok(Vec::new()),
            opened => opened?,
        };
        let reader = std::io::BufReader::with_capacity(1 << 20, source);
        let names =
            FilesMetadataReader::new(&key, reader).tar_file_sets().map_err(|error| Error::damaged(&key, error))?;
        Ok(names.into_iter().collect())
    })
    .await
}

/// The manifest, checked against the listing. WAL-G's trees have none.
async fn read_proofs(
    repository: &Repository,
    backup: &BackupName,
    objects: &BTreeMap<String, ObjectInfo>,
    driver: &Driver,
    cancel: &CancellationToken,
) -> Result<Option<Proofs>> {
    let key = layout::manifest_key(backup);
    let name = key.rsplit('/').next().unwrap_or_default();
    if !objects.contains_key(name) {
        return Ok(None);
    }
    let (repository, driver, cancel) = (repository.clone(), driver.clone(), cancel.clone());
    let proofs = on_worker(move || {
        let source = ObjectSource::open(&driver, &cancel, repository.store(), &key)?;
        let decoder = codec::Decoder::new(codec::Codec::Zstd, &repository.cipher, source)
            .map_err(|error| Error::damaged(&key, error))?;
        Proofs::read(std::io::BufReader::with_capacity(1 << 18, decoder).by_ref())
            .map_err(|error| Error::damaged(&key, error))
    })
    .await?;
    for (name, proof) in &proofs.objects {
        let found = objects.get(name.as_ref()).map(|object| object.size);
        if found != Some(proof.bytes) {
            let is = found.map_or("it is missing".to_owned(), |bytes| format!("it has {bytes} bytes"));
            let why = format!("the manifest promises {} bytes, but {is}", proof.bytes);
            return Err(Error::damaged(format!("{}{name}", layout::backup_folder(backup)), why));
        }
    }
    Ok(Some(proofs))
}

/// Append-optimized and PAX files that live in the segment's shared folders.
async fn shared_objects(repository: &Repository, backup: &BackupName) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    let ao: Option<AoFilesMetadata> = repository.find_json(&layout::ao_files_metadata_key(backup)).await?;
    for (path, file) in ao.map(|metadata| metadata.files).unwrap_or_default() {
        jobs.push(ao_job(path, file)?);
    }
    let pax: Option<PaxFilesMetadata> = repository.find_json(&layout::pax_files_metadata_key(backup)).await?;
    for (path, file) in pax.map(|metadata| metadata.files).unwrap_or_default() {
        jobs.push(Job::Plain {
            key: layout::paxfile_key(&file.storage_path),
            path,
            mode: file.file_mode,
            ao_sum: None,
        });
    }
    Ok(jobs)
}

fn ao_job(path: String, file: AoFile) -> Result<Job> {
    let key = layout::aosegment_key(&file.storage_path);
    if file.is_incremented {
        return Err(Error::refused(format!("{key} is the delta of an append-optimized file"), "restore a full backup"));
    }
    let ao_sum = (!file.checksum.is_empty()).then(|| (u64::try_from(file.eof).unwrap_or(0), file.checksum));
    Ok(Job::Plain { key, path, mode: file.file_mode, ao_sum })
}
