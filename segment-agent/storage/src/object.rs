//! What a storage says about its objects.

use chrono::{DateTime, Utc};

/// One stored object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Relative to the [`crate::Store`] that was asked, without a leading slash.
    pub key: String,
    /// Bytes as stored.
    pub size: u64,
    /// When the object became visible, by the clock of the storage.
    pub modified: DateTime<Utc>,
}

/// One level of a folder: its objects and the names of its sub folders, each sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    pub objects: Vec<ObjectInfo>,
    /// Relative to the [`crate::Store`] that was asked (like the keys), without a trailing slash.
    pub folders: Vec<String>,
}

/// An upload that was begun and neither finished nor aborted: invisible, but it takes up space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleUpload {
    /// The object it would have become, relative to the [`crate::Store`] that was asked.
    pub key: String,
    /// How the storage names the upload: a multipart upload id, or the name of a temporary file.
    pub id: String,
    /// When it was begun, by the clock of the storage.
    pub started: DateTime<Utc>,
}
