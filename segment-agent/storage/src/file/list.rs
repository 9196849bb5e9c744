//! Listing directories. What vanishes meanwhile is left out, and so is what cannot be an object: symbolic links,
//! special files, names that are not UTF-8.

use super::{FileBackend, fault, names, read};
use crate::backend::{Backend, Depth};
use crate::error::{Error, ErrorKind, Result};
use crate::key;
use crate::object::{Listing, StaleUpload};
use crate::record::Operation;
use std::fs;
use std::io;
use std::path::Path;

/// A file or directory below the root, with its key.
struct Entry {
    key: String,
    name: String,
    metadata: fs::Metadata,
}

impl FileBackend {
    pub(super) fn list_objects(&self, folder: &str, depth: Depth) -> Result<Listing> {
        let mut listing = Listing::default();
        self.walk(folder, depth, |entry| {
            if entry.metadata.is_dir() {
                if depth == Depth::One {
                    listing.folders.push(entry.key);
                }
            } else if names::parse(&entry.name).is_none() {
                listing.objects.push(read::info(entry.key, &entry.metadata));
            }
        })?;
        Ok(listing)
    }

    pub(super) fn list_temporary(&self, folder: &str) -> Result<Vec<StaleUpload>> {
        let mut uploads = Vec::new();
        self.walk(folder, Depth::All, |entry| {
            if let Some((object, started)) = names::parse(&entry.name).filter(|_| entry.metadata.is_file()) {
                let folder = entry.key.strip_suffix(&entry.name).unwrap_or_default();
                let key = format!("{folder}{object}");
                uploads.push(StaleUpload { key, id: entry.name, started });
            }
        })?;
        Ok(uploads)
    }

    pub(super) fn remove_temporary(&self, upload: &StaleUpload) -> Result<()> {
        if names::parse(&upload.id).is_none() || upload.id.contains('/') {
            let reason = format!("{} is not the name of a temporary file", upload.id);
            return Err(Error::new(ErrorKind::Invalid, Operation::Abort, self.locate(&upload.key), reason));
        }
        let folder = upload.key.rsplit_once('/').map_or("", |(folder, _)| folder);
        self.remove(&[key::join(folder, &upload.id)])
    }

    /// Visits files and directories below a folder, a directory before what it holds.
    fn walk(&self, folder: &str, depth: Depth, mut visit: impl FnMut(Entry)) -> Result<()> {
        let mut pending = vec![folder.to_owned()];
        while let Some(folder) = pending.pop() {
            let path = self.path(Operation::List, &folder)?;
            let entries =
                entries(&path, &folder).map_err(|error| fault::error(Operation::List, self.locate(&folder), &error))?;
            for entry in entries {
                if entry.metadata.is_dir() && depth == Depth::All {
                    pending.push(entry.key.clone());
                }
                visit(entry);
            }
        }
        Ok(())
    }
}

fn entries(path: &Path, folder: &str) -> io::Result<Vec<Entry>> {
    let directory = match fs::read_dir(path) {
        Ok(directory) => directory,
        Err(error) if fault::is_missing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut entries = Vec::new();
    for entry in directory {
        let entry = entry?;
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            Err(error) if fault::is_missing(&error) => continue,
            Err(error) => return Err(error),
        };
        match entry.file_name().into_string() {
            Ok(name) if metadata.is_dir() || metadata.is_file() => {
                entries.push(Entry { key: key::join(folder, &name), name, metadata });
            }
            _ => tracing::debug!(path = %entry.path().display(), "skipped: it cannot be an object"),
        }
    }
    Ok(entries)
}
