//! What a storage has to do. Keys are complete (the store has put its prefix in front) and already checked.

use crate::error::Result;
use crate::object::{Listing, ObjectInfo, StaleUpload};
use async_trait::async_trait;
use bytes::Bytes;
use std::fmt::Debug;

/// How far a listing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Objects and folders of one level.
    One,
    /// All objects below; `Listing::folders` stays empty.
    All,
}

#[async_trait]
pub(crate) trait Backend: Debug + Send + Sync {
    /// The printable address of a key or folder (of the root for the empty one).
    fn locate(&self, key: &str) -> String;

    /// Whether all futures of this backend are ready at the first poll.
    fn is_local(&self) -> bool;

    /// Writes or replaces an object: durable and visible as a whole when this returns.
    async fn put(&self, key: &str, body: Bytes) -> Result<()>;

    /// Opens an object for reading.
    async fn read(&self, key: &str) -> Result<Box<dyn Body>>;

    /// Begins an object that arrives in chunks; `expected_bytes` may be wrong and is only a hint.
    async fn upload(&self, key: &str, expected_bytes: Option<u64>) -> Result<Box<dyn Sink>>;

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>>;

    /// Complete keys in any order; unfinished uploads and what cannot be an object are left out.
    /// From `end` on keys may be left out too, so that a backend that lists in order need not go on.
    async fn list(&self, folder: &str, depth: Depth, end: Option<&str>) -> Result<Listing>;

    /// Deletes what exists of these; a missing object is no error.
    async fn delete(&self, keys: &[String]) -> Result<()>;

    /// Uploads below `folder` that were begun and not ended.
    async fn stale_uploads(&self, folder: &str) -> Result<Vec<StaleUpload>>;

    /// Gives up what [`Backend::stale_uploads`] found.
    async fn abort_stale_upload(&self, upload: &StaleUpload) -> Result<()>;
}

/// The content of an opened object.
#[async_trait]
pub(crate) trait Body: Send {
    fn size(&self) -> u64;

    /// The next bytes (never empty), or the end.
    async fn next(&mut self) -> Result<Option<Bytes>>;
}

/// An object that is being written. After an error, and after `finish` or `abort`, it is not called again.
/// Dropping it gives the upload up as far as that is possible without waiting.
#[async_trait]
pub(crate) trait Sink: Send {
    async fn write(&mut self, chunk: Bytes) -> Result<()>;
    async fn finish(&mut self) -> Result<()>;
    async fn abort(&mut self) -> Result<()>;
}
