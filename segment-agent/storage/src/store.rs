//! The handle on a storage: puts its prefix in front of keys, checks them, counts, injects faults.

use crate::backend::{Backend, Depth};
use crate::error::{Error, ErrorKind, Result};
use crate::fault::{FaultPlan, Faults};
use crate::file::FileBackend;
use crate::key;
use crate::memory::MemoryBackend;
use crate::object::{Listing, ObjectInfo, StaleUpload};
use crate::reader::ObjectReader;
use crate::record::{Operation, Recorder, RequestCounts};
use crate::s3::S3Backend;
use crate::settings::StorageSettings;
use crate::upload::Upload;
use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use std::sync::Arc;

/// Documents that [`Store::get`] holds in memory may not be larger.
const GET_BYTES_MAX: u64 = 1 << 30;

/// One folder of a storage. Cloning is cheap and shares connections and counts.
#[derive(Debug, Clone)]
pub struct Store {
    watch: Watch,
    /// Without surrounding slashes; empty for the root.
    prefix: String,
}

impl Store {
    /// An empty storage in memory, for tests.
    pub fn memory() -> Store {
        Store::of(Arc::new(MemoryBackend::default()))
    }

    /// Opens a storage without talking to it over the network. The root directory of a file storage must exist.
    pub fn open(settings: &StorageSettings) -> Result<Store> {
        Ok(match settings {
            StorageSettings::File { root } => Store::of(Arc::new(FileBackend::open(root)?)),
            StorageSettings::S3(s3) => Store::of(Arc::new(S3Backend::open(s3)?)).at(&s3.folder),
        })
    }

    fn of(backend: Arc<dyn Backend>) -> Store {
        Store { watch: Watch { backend, recorder: Arc::default(), faults: None }, prefix: String::new() }
    }

    /// The sub folder `prefix` of this one. A folder needs no creation.
    pub fn at(&self, prefix: &str) -> Store {
        Store { watch: self.watch.clone(), prefix: key::join(&self.prefix, key::folder(prefix)) }
    }

    /// The printable address of this folder: `s3://bucket/path`, a directory, or `memory:path`; never a secret.
    pub fn describe(&self) -> String {
        self.watch.locate(&self.prefix)
    }

    /// Whether the futures of this store never wait: they do their blocking I/O when polled, so that
    /// `futures::executor::block_on` on a thread of the caller is enough and no runtime is needed.
    pub fn is_local(&self) -> bool {
        self.watch.backend.is_local()
    }

    /// Writes or replaces a small object; durable and atomic.
    pub async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        let key = self.key(Operation::Put, key)?;
        self.watch.backend.put(&key, body).await
    }

    /// The content of a small document; refuses one above 1 GiB.
    pub async fn get(&self, key: &str) -> Result<Bytes> {
        let mut reader = self.read(key).await?;
        let size = reader.size();
        if size > GET_BYTES_MAX {
            let reason = format!("{size} bytes are too many for a document");
            let location = self.watch.locate(&key::join(&self.prefix, key));
            return Err(Error::new(ErrorKind::Invalid, Operation::Read, location, reason));
        }
        let Some(first) = reader.next().await? else { return Ok(Bytes::new()) };
        if first.len() as u64 == size {
            return Ok(first);
        }
        let mut content = BytesMut::from(first);
        while let Some(chunk) = reader.next().await? {
            content.extend_from_slice(&chunk);
        }
        Ok(content.freeze())
    }

    /// Opens an object for reading from its beginning.
    pub async fn read(&self, key: &str) -> Result<ObjectReader> {
        let key = self.key(Operation::Read, key)?;
        let body = self.watch.backend.read(&key).await?;
        Ok(ObjectReader::new(body, self.watch.clone(), key))
    }

    /// Begins an object of any size. `expected_bytes`, if known, helps S3 choose a part size; it may be wrong.
    pub async fn upload(&self, key: &str, expected_bytes: Option<u64>) -> Result<Upload> {
        let key = self.key(Operation::Upload, key)?;
        let sink = self.watch.backend.upload(&key, expected_bytes).await?;
        Ok(Upload::new(sink, self.watch.clone(), key))
    }

    /// `None` when there is no such object.
    pub async fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        let key = self.key(Operation::Head, key)?;
        let found = self.watch.backend.head(&key).await?;
        Ok(found.map(|info| self.relative(info)))
    }

    /// All objects below a folder (`""`: below this store), sorted by key.
    pub async fn list(&self, folder: &str) -> Result<Vec<ObjectInfo>> {
        Ok(self.list_to(folder, Depth::All).await?.objects)
    }

    /// The objects below a folder whose keys are less than `end`, sorted by key. Where the storage lists in order, as S3 does,
    /// what comes after is not asked for.
    pub async fn list_before(&self, folder: &str, end: &str) -> Result<Vec<ObjectInfo>> {
        let end = key::join(&self.prefix, end);
        let folder = self.folder(folder)?;
        let mut listing = self.watch.backend.list(&folder, Depth::All, Some(&end)).await?;
        listing.objects.retain(|info| info.key < end);
        Ok(self.in_order(listing).objects)
    }

    /// The objects and sub folders of one folder, each sorted.
    pub async fn list_folder(&self, folder: &str) -> Result<Listing> {
        self.list_to(folder, Depth::One).await
    }

    /// Deletes objects; one that does not exist is no error. When a key is invalid nothing is deleted.
    pub async fn delete(&self, keys: &[String]) -> Result<()> {
        let full: Result<Vec<String>> = keys.iter().map(|key| self.full_key(Operation::Delete, key)).collect();
        let full = full?;
        let Some(first) = full.first() else { return Ok(()) };
        self.watch.begin(Operation::Delete, first)?;
        self.watch.backend.delete(&full).await
    }

    /// Uploads below a folder that were begun and neither finished nor aborted, by anyone, still running ones included.
    pub async fn stale_uploads(&self, folder: &str) -> Result<Vec<StaleUpload>> {
        let folder = self.folder(folder)?;
        let mut uploads = self.watch.backend.stale_uploads(&folder).await?;
        for upload in &mut uploads {
            self.cut_prefix(&mut upload.key);
        }
        uploads.sort_by(|a, b| (&a.key, &a.id).cmp(&(&b.key, &b.id)));
        Ok(uploads)
    }

    /// Aborts the uploads below a folder that were begun before `older_than`; returns them.
    pub async fn abort_stale_uploads(&self, folder: &str, older_than: DateTime<Utc>) -> Result<Vec<StaleUpload>> {
        let mut uploads = self.stale_uploads(folder).await?;
        uploads.retain(|upload| upload.started < older_than);
        for upload in &uploads {
            self.abort_upload(upload).await?;
        }
        Ok(uploads)
    }

    /// Aborts an upload that [`stale_uploads`](Self::stale_uploads) found.
    pub async fn abort_upload(&self, upload: &StaleUpload) -> Result<()> {
        let key = self.key(Operation::Abort, &upload.key)?;
        self.watch.backend.abort_stale_upload(&StaleUpload { key, ..upload.clone() }).await
    }

    /// How often each operation was asked for so far.
    pub fn requests(&self) -> RequestCounts {
        self.watch.recorder.counts()
    }

    /// The same store, in which operations fail as planned.
    pub fn failing(mut self, plan: FaultPlan) -> Store {
        self.watch.faults = Some(Arc::new(Faults::new(plan)));
        self
    }

    async fn list_to(&self, folder: &str, depth: Depth) -> Result<Listing> {
        let folder = self.folder(folder)?;
        let listing = self.watch.backend.list(&folder, depth, None).await?;
        Ok(self.in_order(listing))
    }

    fn in_order(&self, mut listing: Listing) -> Listing {
        listing.objects = listing.objects.into_iter().map(|info| self.relative(info)).collect();
        listing.objects.sort_by(|a, b| a.key.cmp(&b.key));
        for name in &mut listing.folders {
            self.cut_prefix(name);
        }
        listing.folders.sort();
        listing
    }

    fn key(&self, operation: Operation, key: &str) -> Result<String> {
        let key = self.full_key(operation, key)?;
        self.watch.begin(operation, &key)?;
        Ok(key)
    }

    fn full_key(&self, operation: Operation, key: &str) -> Result<String> {
        let full = key::join(&self.prefix, key);
        // The key alone as well: an empty one would name the folder.
        key::check(operation, key, &self.watch.locate(&full))?;
        key::check(operation, &full, &self.watch.locate(&full))?;
        Ok(full)
    }

    fn folder(&self, folder: &str) -> Result<String> {
        let folder = key::join(&self.prefix, key::folder(folder));
        key::check_folder(Operation::List, &folder, &self.watch.locate(&folder))?;
        self.watch.begin(Operation::List, &folder)?;
        Ok(folder)
    }

    fn relative(&self, mut info: ObjectInfo) -> ObjectInfo {
        self.cut_prefix(&mut info.key);
        info
    }

    fn cut_prefix(&self, key: &mut String) {
        let prefix = key::prefix(&self.prefix);
        if key.starts_with(&prefix) {
            key.drain(..prefix.len());
        }
    }
}

/// What a store shares with the readers and uploads that it opened.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    backend: Arc<dyn Backend>,
    recorder: Arc<Recorder>,
    faults: Option<Arc<Faults>>,
}

impl Watch {
    /// Counts an operation and lets it fail if that is planned.
    pub(crate) fn begin(&self, operation: Operation, key: &str) -> Result<()> {
        self.recorder.record(operation);
        match &self.faults {
            Some(faults) => faults.check(operation, key, &self.locate(key)),
            None => Ok(()),
        }
    }

    pub(crate) fn locate(&self, key: &str) -> String {
        self.backend.locate(key)
    }
}
