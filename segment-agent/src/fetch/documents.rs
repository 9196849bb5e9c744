//! The documents beside a backup's archives, proved against the manifest where there is one. WAL-G's trees have none.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};

use codec::{Cipher, Codec, Decoder};
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
use crate::error::{Error, Result, from_io};
use crate::repository::Repository;

/// Bytes that a reader of a large document holds.
const BUFFER_BYTES: usize = 1 << 20;

/// How a zstd stream begins.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

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
            let mut stored = BufReader::with_capacity(BUFFER_BYTES, source);
            let plain = open_manifest(&repository.cipher, &key, &mut stored)?;
            Proofs::read(plain).map_err(|error| Error::damaged(&key, error))
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

/// The manifest is the first thing of a backup that is encrypted like its data: a missing or wrong key comes to light here,
/// and is told from damage.
pub fn open_manifest(cipher: &Cipher, key: &str, stored: &mut impl BufRead) -> Result<impl Read> {
    let from_io = |error: std::io::Error| from_io(error, |error| Error::damaged(key, error));
    let is_clear = stored.fill_buf().map_err(from_io)?.starts_with(&ZSTD_MAGIC);
    if matches!(cipher, Cipher::None) && !is_clear {
        let what = format!("object {key} is encrypted or damaged, and no key is configured");
        let remedy = "if the backup was encrypted, set WALG_LIBSODIUM_KEY or WALG_LIBSODIUM_KEY_PATH to its key; if not, fetch another backup";
        return Err(Error::refused(what, remedy));
    }
    let decoder = Decoder::new(Codec::Zstd, cipher, stored).map_err(|error| from_io(error.into()))?;
    let mut plain = BufReader::with_capacity(BUFFER_BYTES, decoder);
    match plain.fill_buf().map(|_| ()).map_err(codec::Error::from) {
        Ok(()) => Ok(plain),
        Err(codec::Error::WrongKey) => {
            let what = format!("object {key} does not decrypt with the configured key");
            let remedy = "set WALG_LIBSODIUM_KEY (or _KEY_PATH, with _KEY_TRANSFORM) to the key that the backup was written with; if it is that key, the object is damaged: fetch another backup";
            Err(Error::refused(what, remedy))
        }
        Err(error) => Err(from_io(error.into())),
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
