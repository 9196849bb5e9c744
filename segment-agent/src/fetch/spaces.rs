//! The directories of tablespaces while a restore is under way: each holds a marker, a link to the data directory that it is
//! restored for, so that no two restores take the same one.

use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::Path;

use formats::TablespaceSpec;

use super::target::MARKER;
use crate::error::{Error, Result};

/// Before the marker is written, so that a refusal leaves nothing behind.
pub fn refuse_used_tablespaces(root: &Path, tablespaces: &TablespaceSpec) -> Result<()> {
    let locations = tablespaces.tablespaces.values().map(|space| Path::new(&space.loc));
    locations.filter(|location| location.exists()).try_for_each(|location| refuse_used(root, location))
}

/// The directory must be empty, or marked as belonging to this restore.
fn refuse_used(root: &Path, location: &Path) -> Result<()> {
    let remedy = "empty it, or name another place: for a cluster under \"tablespaces\" in the restore config \
                  ({\"<oid>\": \"/new/directory\"}), for a single server with --restore-spec";
    match std::fs::read_link(location.join(MARKER)) {
        Ok(owner) if owner == root => return Ok(()),
        Ok(owner) => {
            let what = format!(
                "the tablespace directory {} is used by the restore into {}",
                location.display(),
                owner.display()
            );
            return Err(Error::refused(what, remedy));
        }
        Err(_) => {}
    }
    let mut entries = std::fs::read_dir(location).map_err(|error| Error::file("listing", location, error))?;
    if entries.next().is_none() {
        return Ok(());
    }
    Err(Error::refused(format!("the tablespace directory {} is not empty", location.display()), remedy))
}

/// Of two restores that take the same directory at once, one makes the marker.
pub fn claim_tablespace(root: &Path, location: &Path) -> Result<()> {
    refuse_used(root, location)?;
    let marker = location.join(MARKER);
    match symlink(root, &marker) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => refuse_used(root, location),
        made => made.map_err(|error| Error::file("marking", &marker, error)),
    }
}

pub fn remove_if_there(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::file("removing", path, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_restores_do_not_share_a_tablespace() {
        let (first, second, space) = (Path::new("/first"), Path::new("/second"), tempfile::tempdir().unwrap());
        let loc = space.path();
        claim_tablespace(first, loc).unwrap();
        assert!(claim_tablespace(second, loc).is_err_and(|error| error.to_string().contains("/first")));
        std::fs::write(loc.join("x"), b"1").unwrap();
        claim_tablespace(first, loc).unwrap();
        remove_if_there(&loc.join(MARKER)).unwrap();
        remove_if_there(&loc.join(MARKER)).unwrap();
        assert!(claim_tablespace(first, loc).is_err_and(|error| error.to_string().contains("not empty")));
    }
}
