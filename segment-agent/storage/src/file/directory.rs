//! Directories: created durably, removed when empty.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Makes names in a directory durable.
pub(super) fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Creates what is missing of a directory below `root`, each one durable in its parent.
pub(super) fn create(root: &Path, directory: &Path) -> io::Result<()> {
    if directory == root || directory.is_dir() {
        return Ok(());
    }
    let Some(parent) = directory.parent() else { return Ok(()) };
    create(root, parent)?;
    match fs::create_dir(directory) {
        Ok(()) => sync(parent),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// After files were removed from these directories: removes those that are empty, up to the root, and makes it all
/// durable. A deletion must be, because what is deleted next may rely on it (a backup's sentinel goes before its parts).
pub(super) fn settle(root: &Path, directories: BTreeSet<PathBuf>) -> io::Result<()> {
    let mut changed = directories;
    // Children sort after their parents: taking the last one always sees children before their parents.
    while let Some(directory) = changed.pop_last() {
        let parent = directory.parent().filter(|_| directory != root);
        match parent.map(|parent| (parent, fs::remove_dir(&directory))) {
            Some((parent, Ok(()))) => {
                changed.insert(parent.to_owned());
            }
            _ => match sync(&directory) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            },
        }
    }
    Ok(())
}
