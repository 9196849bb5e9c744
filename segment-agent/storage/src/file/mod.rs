//! A storage in a directory, laid out as WAL-G does: one plain file per object.
//!
//! All I/O is plain and blocking, inside of async functions that never wait: callers drive them from their own threads.
//! An object is written under a temporary name beside its own (`names`), then fsync, rename, fsync of the directory;
//! directories that had to be created are synced into their parents first. Nothing below the root is reached through a
//! symbolic link (the root itself may be one). Directories that become empty by a deletion are removed.

mod directory;
mod fault;
mod list;
mod names;
mod read;
mod write;

use crate::backend::{Backend, Body, Depth, Sink};
use crate::error::{Error, ErrorKind, Result};
use crate::object::{Listing, ObjectInfo, StaleUpload};
use crate::record::Operation;
use async_trait::async_trait;
use bytes::Bytes;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(crate) struct FileBackend {
    root: PathBuf,
}

impl FileBackend {
    /// The root must be a directory: a missing one is more likely a wrong path or a missing mount than a new storage.
    pub(crate) fn open(root: &Path) -> Result<FileBackend> {
        let location = root.display().to_string();
        match std::fs::metadata(root) {
            Ok(metadata) if metadata.is_dir() => Ok(FileBackend { root: root.to_owned() }),
            Ok(_) => Err(Error::new(ErrorKind::Invalid, Operation::List, location, "the storage is not a directory")),
            Err(error) => Err(fault::error(Operation::List, location, &error)),
        }
    }

    /// The path of an object or folder, after making sure that no symbolic link leads there.
    fn path(&self, operation: Operation, key: &str) -> Result<PathBuf> {
        let mut path = self.root.clone();
        for part in key.split('/').filter(|part| !part.is_empty()) {
            path.push(part);
            if path.is_symlink() {
                let reason = format!("{} is a symbolic link, which is not followed", path.display());
                return Err(Error::new(ErrorKind::Invalid, operation, self.locate(key), reason));
            }
        }
        Ok(path)
    }
}

#[async_trait]
impl Backend for FileBackend {
    fn locate(&self, key: &str) -> String {
        let path = if key.is_empty() { self.root.clone() } else { self.root.join(key) };
        path.display().to_string()
    }

    fn is_local(&self) -> bool {
        true
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        let mut file = self.create(Operation::Put, key)?;
        file.write(&body)?;
        file.publish()
    }

    async fn read(&self, key: &str) -> Result<Box<dyn Body>> {
        Ok(Box::new(self.open_object(key)?))
    }

    async fn upload(&self, key: &str, _expected_bytes: Option<u64>) -> Result<Box<dyn Sink>> {
        Ok(Box::new(self.create(Operation::Upload, key)?))
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        self.look_up(key)
    }

    async fn list(&self, folder: &str, depth: Depth, _end: Option<&str>) -> Result<Listing> {
        self.list_objects(folder, depth)
    }

    async fn delete(&self, keys: &[String]) -> Result<()> {
        self.remove(keys)
    }

    async fn stale_uploads(&self, folder: &str) -> Result<Vec<StaleUpload>> {
        self.list_temporary(folder)
    }

    async fn abort_stale_upload(&self, upload: &StaleUpload) -> Result<()> {
        self.remove_temporary(upload)
    }
}
