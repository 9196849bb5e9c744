//! The documents beside a backup's archives, proved against the manifest where there is one. WAL-G's trees have none.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read};

use codec::{Cipher, Codec, Decoder};
use formats::ao::AoFilesMetadata;
use formats::files::{DatabasesByNames, FileDescription, FilesMetadataReader};
use formats::pax::PaxFilesMetadata;
use formats::segment::SegmentSentinel;
use formats::{BackupName, go_json, layout};
use serde::de::DeserializeOwned;
use storage::{ErrorKind, ObjectInfo};
use tokio_util::sync::CancellationToken;

use super::plan::{FileList, Tar};
use super::proofs::{Proofs, rooted};
use super::shared::Shared;
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
    /// The manifest, if there is one.
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
        Ok(Some(proofs))
    }

    /// files_metadata.json without its names; nothing if there is none.
    pub async fn file_list(&self, proofs: Option<&Proofs>) -> Result<Option<FileList>> {
        let key = layout::files_metadata_key(self.backup);
        let list = self.files_metadata(&key, |reader| {
            let (list, tar_numbers) = (RefCell::new(FileList::default()), RefCell::new(HashMap::new()));
            reader.files_and_tar_members(
                |path, description| list.borrow_mut().add_file(rooted(&path), &description),
                |tar, member| list.borrow_mut().add_member(rooted(&member), tar, &mut tar_numbers.borrow_mut()),
            )?;
            Ok(list.into_inner())
        });
        let Some((list, digest)) = list.await? else { return Ok(None) };
        self.prove(&key, digest, proofs)?;
        Ok(Some(list))
    }

    /// The names of databases and tables; empty if the backup has none.
    pub async fn names(&self, proofs: Option<&Proofs>) -> Result<DatabasesByNames> {
        let key = layout::files_metadata_key(self.backup);
        let Some((names, digest)) = self.files_metadata(&key, |reader| reader.databases()).await? else {
            return Ok(DatabasesByNames::default());
        };
        self.prove(&key, digest, proofs)?;
        Ok(names)
    }

    /// Passes over the document once, to its end; nothing if there is none.
    async fn files_metadata<T: Send + 'static>(
        &self,
        key: &str,
        read: impl FnOnce(FilesMetadataReader<&mut BufReader<ObjectSource>>) -> Result<T, formats::Error> + Send + 'static,
    ) -> Result<Option<(T, Option<ObjectDigest>)>> {
        let (repository, driver, cancel) = (self.repository.clone(), self.driver.clone(), self.cancel.clone());
        let key = key.to_owned();
        on_worker(move || {
            let source = match ObjectSource::open(&driver, &cancel, repository.store(), &key) {
                Err(Error::Storage(error)) if error.kind() == ErrorKind::NotFound => return Ok(None),
                opened => opened?,
            };
            let digest = source.whole();
            let mut reader = BufReader::with_capacity(BUFFER_BYTES, source);
            let damaged = |error: &dyn std::fmt::Display| Error::damaged(&key, error);
            let found = read(FilesMetadataReader::new(&key, &mut reader)).map_err(|error| damaged(&error))?;
            std::io::copy(&mut reader, &mut std::io::sink()).map_err(|error| damaged(&error))?;
            Ok(Some((found, digest.get().copied())))
        })
        .await
    }

    /// Append-optimized and PAX files that live in the segment's shared folders. `required`: the list of the former must exist.
    pub async fn shared_files(&self, proofs: Option<&Proofs>, required: bool) -> Result<BTreeMap<Box<str>, Shared>> {
        let key = layout::ao_files_metadata_key(self.backup);
        let ao: Option<AoFilesMetadata> = self.small(&key, proofs).await?;
        if required && ao.is_none() {
            return Err(Error::damaged(key, "it is missing, and with it the list of append-optimized files"));
        }
        let pax: Option<PaxFilesMetadata> = self.small(&layout::pax_files_metadata_key(self.backup), proofs).await?;
        let ao = ao.unwrap_or_default().files.into_iter().map(|(path, file)| (rooted(&path), Shared::from(file)));
        let pax = pax.unwrap_or_default().files.into_iter().map(|(path, file)| (rooted(&path), Shared::from(file)));
        Ok(ao.chain(pax).collect())
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

impl FileList {
    fn add_file(&mut self, path: Box<str>, description: &FileDescription) {
        let record = self.records.entry(path).or_default();
        record.listed = true;
        record.increment = description.is_incremented;
        record.skipped = description.is_skipped;
    }

    /// Archives without members, and without a name, which WAL-G lists too, never come here.
    fn add_member(&mut self, path: Box<str>, tar: &str, numbers: &mut HashMap<String, u32>) {
        let number = match numbers.get(tar) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.tars.len()).unwrap_or(u32::MAX);
                self.tars.push(tar.to_owned());
                numbers.insert(tar.to_owned(), number);
                number
            }
        };
        let record = self.records.entry(path).or_default();
        record.tar = match record.tar {
            Tar::None => Tar::One(number),
            Tar::One(same) if same == number => Tar::One(same),
            Tar::One(_) | Tar::Several => Tar::Several,
        };
    }

    /// What sentinels held before there was a files_metadata.json.
    pub fn of_legacy(sentinel: &SegmentSentinel) -> Self {
        let (mut list, mut numbers) = (Self::default(), HashMap::new());
        for (path, description) in &sentinel.legacy_files {
            list.add_file(rooted(path), description);
        }
        for (tar, members) in &sentinel.legacy_tar_file_sets {
            members.iter().for_each(|member| list.add_member(rooted(member), tar, &mut numbers));
        }
        list
    }
}
