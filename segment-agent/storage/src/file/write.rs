//! Writing files: temporary name, content, fsync, rename, fsync of the directory.

use super::{FileBackend, directory, fault, names};
use crate::backend::{Backend, Sink};
use crate::error::Result;
use crate::record::Operation;
use async_trait::async_trait;
use bytes::Bytes;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The kernel is asked to begin writing each time so much is waiting, so that the final fsync finds little left to do.
const WRITE_BEHIND_BYTES: u64 = 2 << 20;

/// A deletion may remove the directory between its creation and that of a file in it: so often it is created again.
const CREATE_ATTEMPTS: usize = 8;

/// An object that is being written. Dropping it before `publish` removes the temporary file.
pub(super) struct NewFile {
    file: File,
    root: PathBuf,
    target: PathBuf,
    /// `None` once there is nothing to remove.
    temporary: Option<PathBuf>,
    location: String,
    written: u64,
    /// So far the kernel was asked to write.
    handed_over: u64,
}

impl FileBackend {
    pub(super) fn create(&self, operation: Operation, key: &str) -> Result<NewFile> {
        let target = self.path(operation, key)?;
        let location = self.locate(key);
        let (temporary, file) =
            create_beside(&self.root, &target).map_err(|error| fault::error(operation, location.clone(), &error))?;
        let root = self.root.clone();
        Ok(NewFile { file, root, target, temporary: Some(temporary), location, written: 0, handed_over: 0 })
    }

    pub(super) fn remove(&self, keys: &[String]) -> Result<()> {
        let mut directories = BTreeSet::new();
        for key in keys {
            let path = self.path(Operation::Delete, key)?;
            match fs::remove_file(&path) {
                Ok(()) => {
                    directories.extend(path.parent().map(Path::to_owned));
                }
                Err(error) if fault::is_missing(&error) || path.is_dir() => {}
                Err(error) => return Err(fault::error(Operation::Delete, self.locate(key), &error)),
            }
        }
        directory::settle(&self.root, directories)
            .map_err(|error| fault::error(Operation::Delete, self.locate(""), &error))
    }
}

fn create_beside(root: &Path, target: &Path) -> io::Result<(PathBuf, File)> {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let folder = target.parent().unwrap_or(root);
    let mut attempt = 1;
    loop {
        let temporary = folder.join(names::temporary(&name));
        let created = directory::create(root, folder)
            .and_then(|()| OpenOptions::new().write(true).create_new(true).open(&temporary));
        match created {
            Ok(file) => return Ok((temporary, file)),
            // A missing root must not be created: its file system may not be mounted.
            Err(error) if error.kind() == io::ErrorKind::NotFound && attempt < CREATE_ATTEMPTS && root.is_dir() => {
                attempt += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

impl NewFile {
    pub(super) fn write(&mut self, content: &[u8]) -> Result<()> {
        self.file.write_all(content).map_err(|error| fault::error(Operation::Write, self.location.clone(), &error))?;
        self.written += content.len() as u64;
        if self.written - self.handed_over >= WRITE_BEHIND_BYTES {
            self.begin_writing();
        }
        Ok(())
    }

    /// Linux begins to write dirty pages of which it is told that they are not needed any more. Only a hint: what comes of
    /// it is left to the fsync.
    fn begin_writing(&mut self) {
        let (from, length) = (self.handed_over, self.written - self.handed_over);
        if let (Ok(from), Ok(length)) = (i64::try_from(from), i64::try_from(length)) {
            let _ = posix_fadvise(&self.file, from, length, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
        }
        self.handed_over = self.written;
    }

    pub(super) fn publish(&mut self) -> Result<()> {
        self.rename().map_err(|error| fault::error(Operation::Finish, self.location.clone(), &error))
    }

    fn rename(&mut self) -> io::Result<()> {
        let Some(temporary) = &self.temporary else { return Ok(()) };
        self.file.sync_all()?;
        fs::rename(temporary, &self.target)?;
        self.temporary = None;
        directory::sync(self.target.parent().unwrap_or(&self.root))
    }

    /// Removes the temporary file, and the directories that were made for it.
    fn discard(&mut self) -> io::Result<()> {
        let Some(temporary) = self.temporary.take() else { return Ok(()) };
        fs::remove_file(&temporary)?;
        directory::settle(&self.root, temporary.parent().map(Path::to_owned).into_iter().collect())
    }
}

#[async_trait]
impl Sink for NewFile {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        NewFile::write(self, &chunk)
    }

    async fn finish(&mut self) -> Result<()> {
        self.publish()
    }

    async fn abort(&mut self) -> Result<()> {
        self.discard().map_err(|error| fault::error(Operation::Abort, self.location.clone(), &error))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Err(error) = self.discard() {
            tracing::warn!(object = %self.location, %error, "a temporary file is left behind");
        }
    }
}
