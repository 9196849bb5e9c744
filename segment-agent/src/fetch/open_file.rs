//! A restored file that is being changed: an increment is put on it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::target::Target;
use crate::error::{Error, Result};

/// A file that is being changed.
pub struct OpenFile<'a> {
    pub target: &'a Target,
    pub file: File,
    pub path: PathBuf,
}

impl OpenFile<'_> {
    pub fn length(&self) -> std::io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Cuts the file or makes it longer.
    pub fn resize(&self, bytes: u64) -> Result<()> {
        self.file.set_len(bytes).map_err(|error| Error::file("resizing", &self.path, error))
    }

    pub fn write_at(&self, content: &[u8], at: u64) -> Result<()> {
        self.file.write_all_at(content, at).map_err(|error| Error::file("writing", &self.path, error))
    }

    pub fn seal(&self, mode: u32) -> Result<()> {
        self.target.seal(&self.file, &self.path, mode)
    }
}
