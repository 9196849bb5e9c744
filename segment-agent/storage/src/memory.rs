//! A storage in memory: the reference that the other backends are tested against.

use crate::backend::{Backend, Body, Depth, Sink};
use crate::error::{Error, ErrorKind, Result};
use crate::key;
use crate::object::{Listing, ObjectInfo, StaleUpload};
use crate::record::Operation;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Readers get pieces of this size, so that tests see several.
const CHUNK_BYTES: usize = 1 << 20;

#[derive(Debug, Clone)]
struct Object {
    content: Bytes,
    modified: DateTime<Utc>,
}

type Objects = Arc<Mutex<BTreeMap<String, Object>>>;

#[derive(Debug, Default)]
pub(crate) struct MemoryBackend {
    objects: Objects,
}

fn lock(objects: &Objects) -> MutexGuard<'_, BTreeMap<String, Object>> {
    objects.lock().unwrap_or_else(PoisonError::into_inner)
}

fn info(key: &str, object: &Object) -> ObjectInfo {
    ObjectInfo { key: key.to_owned(), size: object.content.len() as u64, modified: object.modified }
}

#[async_trait]
impl Backend for MemoryBackend {
    fn locate(&self, key: &str) -> String {
        format!("memory:{key}")
    }

    fn is_local(&self) -> bool {
        true
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        lock(&self.objects).insert(key.to_owned(), Object { content: body, modified: Utc::now() });
        Ok(())
    }

    async fn read(&self, key: &str) -> Result<Box<dyn Body>> {
        match lock(&self.objects).get(key) {
            Some(object) => {
                Ok(Box::new(MemoryBody { size: object.content.len() as u64, rest: object.content.clone() }))
            }
            None => Err(Error::new(ErrorKind::NotFound, Operation::Read, self.locate(key), "")),
        }
    }

    async fn upload(&self, key: &str, _expected_bytes: Option<u64>) -> Result<Box<dyn Sink>> {
        Ok(Box::new(MemorySink { objects: self.objects.clone(), key: key.to_owned(), content: BytesMut::new() }))
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        Ok(lock(&self.objects).get(key).map(|object| info(key, object)))
    }

    async fn list(&self, folder: &str, depth: Depth, _end: Option<&str>) -> Result<Listing> {
        let prefix = key::prefix(folder);
        let mut folders = BTreeSet::new();
        let mut listing = Listing::default();
        for (key, object) in lock(&self.objects).range(prefix.clone()..) {
            let Some(name) = key.strip_prefix(&prefix) else { break };
            match name.split_once('/') {
                Some((child, _)) if depth == Depth::One => {
                    folders.insert(format!("{prefix}{child}"));
                }
                _ => listing.objects.push(info(key, object)),
            }
        }
        listing.folders = folders.into_iter().collect();
        Ok(listing)
    }

    async fn delete(&self, keys: &[String]) -> Result<()> {
        let mut objects = lock(&self.objects);
        for key in keys {
            objects.remove(key);
        }
        Ok(())
    }

    async fn stale_uploads(&self, _folder: &str) -> Result<Vec<StaleUpload>> {
        Ok(Vec::new())
    }

    async fn abort_stale_upload(&self, _upload: &StaleUpload) -> Result<()> {
        Ok(())
    }
}

struct MemoryBody {
    size: u64,
    rest: Bytes,
}

#[async_trait]
impl Body for MemoryBody {
    fn size(&self) -> u64 {
        self.size
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        let length = self.rest.len().min(CHUNK_BYTES);
        Ok((length > 0).then(|| self.rest.split_to(length)))
    }
}

struct MemorySink {
    objects: Objects,
    key: String,
    content: BytesMut,
}

#[async_trait]
impl Sink for MemorySink {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.content.extend_from_slice(&chunk);
        Ok(())
    }

    async fn finish(&mut self) -> Result<()> {
        let object = Object { content: self.content.split().freeze(), modified: Utc::now() };
        lock(&self.objects).insert(std::mem::take(&mut self.key), object);
        Ok(())
    }

    async fn abort(&mut self) -> Result<()> {
        Ok(())
    }
}
