//! Reading files.

use super::{FileBackend, fault};
use crate::backend::{Backend, Body};
use crate::error::{Error, ErrorKind, Result};
use crate::object::ObjectInfo;
use crate::record::Operation;
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use nix::fcntl::{OFlag, PosixFadviseAdvice, posix_fadvise};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::time::SystemTime;

/// Large enough that the system call costs nothing, small enough for a processor's cache.
const CHUNK_BYTES: u64 = 256 << 10;

pub(super) struct FileBody {
    file: File,
    size: u64,
    rest: u64,
    location: String,
}

impl FileBackend {
    pub(super) fn open_object(&self, key: &str) -> Result<FileBody> {
        let location = self.locate(key);
        let path = self.path(Operation::Read, key)?;
        let failed = |error: &std::io::Error| {
            let kind = if fault::is_missing(error) { Some(ErrorKind::NotFound) } else { None };
            match kind {
                Some(kind) => Error::new(kind, Operation::Read, location.clone(), ""),
                None => fault::error(Operation::Read, location.clone(), error),
            }
        };
        let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|error| failed(&error))?;
        let metadata = file.metadata().map_err(|error| failed(&error))?;
        if !metadata.is_file() {
            return Err(Error::new(ErrorKind::NotFound, Operation::Read, location, ""));
        }
        // Only a hint: where it is not understood, reading works as well.
        let _ = posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_SEQUENTIAL);
        Ok(FileBody { file, size: metadata.len(), rest: metadata.len(), location })
    }

    pub(super) fn look_up(&self, key: &str) -> Result<Option<ObjectInfo>> {
        let path = self.path(Operation::Head, key)?;
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_file() => Ok(Some(info(key.to_owned(), &metadata))),
            Ok(_) => Ok(None),
            Err(error) if fault::is_missing(&error) => Ok(None),
            Err(error) => Err(fault::error(Operation::Head, self.locate(key), &error)),
        }
    }
}

pub(super) fn info(key: String, metadata: &Metadata) -> ObjectInfo {
    let modified: DateTime<Utc> = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH).into();
    ObjectInfo { key, size: metadata.len(), modified }
}

#[async_trait]
impl Body for FileBody {
    fn size(&self) -> u64 {
        self.size
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        let wanted = self.rest.min(CHUNK_BYTES);
        let mut chunk = Vec::with_capacity(wanted as usize);
        let failed = |error: std::io::Error| fault::error(Operation::Read, self.location.clone(), &error);
        self.file.by_ref().take(wanted).read_to_end(&mut chunk).map_err(failed)?;
        self.rest -= chunk.len() as u64;
        Ok((!chunk.is_empty()).then(|| Bytes::from(chunk)))
    }
}
