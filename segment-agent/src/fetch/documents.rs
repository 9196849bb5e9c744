//! The documents beside a backup's archives, proved against the manifest where there is one. WAL-G's trees have none.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufReader;

use codec::{Codec, Decoder};
use formats::ao::{AoFile, AoFilesMetadata};
use formats::files::FilesMetadataReader;
use formats::pax::PaxFilesMetadata;
use formats::{BackupName, go_json, layout};
use serde::de::DeserializeOwned;
use storage::{ErrorKind, ObjectInfo};
use tokio_util::sync::CancellationToken;

use super::extract::Job;
use super::proofs::Proofs;
use crate::bridge::{Driver, ObjectDigest, ObjectSource, on_worker};
use crate::error::{Error, Result};
use crate::repository::Repository;

/// Bytes that a reader of a large document holds.
const BUFFER_BYTES: usize = 1 << 20;

/// Reads the documents of one backup.
pub struct Documents<'a> {
    pub repository: &'a Repository,
    pub backup: &'a BackupName,
    pub driver: &'a Driver,
    pub cancel: &'a CancellationToken,
}

impl Documents<'_> {
    /// The manifest; every object that it knows must be among `objects` (keys inside the backup's folder), with its size.
    pub async fn proofs(&self, objects: &BTreeMap<String, ObjectInfo>) -> Result<Option<Proofs>> {
        let key = layout::manifest_key(self.backup);
        if !objects.contains_key(name_of(&key)) {
            return Ok(None);
        }
        let (repository, driver, cancel) = (self.repository.clone(), self.driver.clone(), self.cancel.clone());
        let proofs = on_worker(move || {
            let source = ObjectSource::open(&driver, &cancel, repository.store(), &key)?;
            let damaged = |error: &dyn std::fmt::Display| Error::damaged(&key, error);
            let decoder = Decoder::new(Codec::Zstd, &repository.cipher, source).map_err(|error| damaged(&error))?;
            Proofs::read(BufReader::with_capacity(BUFFER_BYTES, decoder)).map_err(|error| damaged(&error))
        })
        .await?;
        for (name, proof) in &proofs.objects {
            let found = objects.get(name.as_ref()).map(|object| object.size);
            if found != Some(proof.bytes) {
                let is = found.map_or("it is missing".to_owned(), |bytes| format!("it has {bytes} bytes"));
                let why = format!("the manifest promises {} bytes, but {is}", proof.bytes);
                return Err(Error::damaged(format!("{}{name}", layout::backup_folder(self.backup)), why));
            }
        }
        Ok(Some(proofs))
    }

    /// Names of the archives that files_metadata.json lists. A full backup without this file loses only this check.
    pub async fn listed_archives(&self, proofs: Option<&Proofs>) -> Result<BTreeSet<String>> {
        let key = layout::files_metadata_key(self.backup);
        let (repository, driver, cancel) = (self.repository.clone(), self.driver.clone(), self.cancel.clone());
        let read_key = key.clone();
        let (names, digest) = on_worker(move || {
            let source = match ObjectSource::open(&driver, &cancel, repository.store(), &read_key) {
                Err(Error::Storage(error)) if error.kind() == ErrorKind::NotFound => return Ok(Default::default()),
                opened => opened?,
            };
            let digest = source.whole();
            let mut reader = BufReader::with_capacity(BUFFER_BYTES, source);
            let damaged = |error: &dyn std::fmt::Display| Error::damaged(&read_key, error);
            let names =
                FilesMetadataReader::new(&read_key, &mut reader).tar_file_sets().map_err(|error| damaged(&error))?;
            std::io::copy(&mut reader, &mut std::io::sink()).map_err(|error| damaged(&error))?;
            Ok((names, digest.get().copied()))
        })
        .await?;
        self.prove(&key, digest, proofs)?;
        Ok(names)
    }

    /// Append-optimized and PAX files that live in the segment's shared folders. `required`: the list of the former must exist.
    pub async fn shared_objects(&self, proofs: Option<&Proofs>, required: bool) -> Result<Vec<Job>> {
        let mut jobs = Vec::new();
        let key = layout::ao_files_metadata_key(self.backup);
        let ao: Option<AoFilesMetadata> = self.small(&key, proofs).await?;
        if required && ao.is_none() {
            return Err(Error::damaged(key, "it is missing, and with it the list of append-optimized files"));
        }
        for (path, file) in ao.unwrap_or_default().files {
            jobs.push(ao_job(path, file)?);
        }
        let pax: Option<PaxFilesMetadata> = self.small(&layout::pax_files_metadata_key(self.backup), proofs).await?;
        for (path, file) in pax.unwrap_or_default().files {
            jobs.push(Job::Plain {
                key: layout::paxfile_key(&file.storage_path),
                path,
                mode: file.file_mode,
                ao_sum: None,
            });
        }
        Ok(jobs)
    }

    /// A document that single servers' backups do not have.
    async fn small<T: DeserializeOwned>(&self, key: &str, proofs: Option<&Proofs>) -> Result<Option<T>> {
        let body = match self.repository.store().get(key).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            body => body?,
        };
        self.prove(key, Some(ObjectDigest::of(&body)), proofs)?;
        go_json::from_slice(key, &body).map(Some).map_err(|error| Error::damaged(key, error))
    }

    fn prove(&self, key: &str, read: Option<ObjectDigest>, proofs: Option<&Proofs>) -> Result<()> {
        let Some(proofs) = proofs else { return Ok(()) };
        proofs.check_object(name_of(key), read).map_err(|why| Error::damaged(key, why))
    }
}

fn name_of(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

fn ao_job(path: String, file: AoFile) -> Result<Job> {
    let key = layout::aosegment_key(&file.storage_path);
    if file.is_incremented {
        return Err(Error::refused(format!("{key} is the delta of an append-optimized file"), "restore a full backup"));
    }
    let ao_sum = (!file.checksum.is_empty()).then(|| (u64::try_from(file.eof).unwrap_or(0), file.checksum));
    Ok(Job::Plain { key, path, mode: file.file_mode, ao_sum })
}
