//! Recognising a directory that an earlier run restored to its end.
//!
//! A restore of a whole cluster may have failed on one segment after others were done. Run again, it must not stumble over
//! those: a directory that holds exactly the files of the manifest needs no work.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::Fetched;
use super::extract::{has_size_and_mode, is_restored};
use super::proofs::{Proofs, TABLESPACE_MAP};
use crate::error::{Error, Result};

/// What a restore into `root` would give, if all of it is there already and nothing else. Names, sizes and modes are compared
/// first, so that a directory in use is told without reading it.
pub fn recognise(
    root: &Path,
    proofs: &Proofs,
    without_tablespace_map: bool,
    cancel: &CancellationToken,
) -> Result<Option<Fetched>> {
    let wanted = |name: &str| !(without_tablespace_map && name == TABLESPACE_MAP);
    let files: Vec<_> = proofs.files.iter().filter(|(name, _)| wanted(name)).collect();
    let place = |name: &str| root.join(name.trim_start_matches('/'));
    let mut found = 0;
    if files.is_empty() || !only_known_files(root, "", proofs, &mut found) || found != files.len() {
        return Ok(None);
    }
    if !files.iter().all(|(name, proof)| has_size_and_mode(&place(name), proof)) {
        return Ok(None);
    }
    let mut buffer = vec![0; 1 << 20];
    let mut done = Fetched { proved: true, ..Fetched::default() };
    for (name, proof) in files {
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        if !is_restored(&place(name), proof, &mut buffer) {
            return Ok(None);
        }
        done =
            Fetched { files: done.files + 1, bytes: done.bytes + proof.bytes, kept_files: done.kept_files + 1, ..done };
    }
    Ok(Some(done))
}

/// Walks `folder` (its name inside the data directory is `name`) and counts its files; false at the first unknown one, and at
/// whatever cannot be read. Links are followed where they lead to tablespaces.
fn only_known_files(folder: &Path, name: &str, proofs: &Proofs, found: &mut usize) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    for entry in entries {
        let Ok(entry) = entry else { return false };
        let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { return false };
        let Some(child) = entry.file_name().to_str().map(|child| format!("{name}/{child}")) else { return false };
        let is_known = if kind.is_dir() || (kind.is_symlink() && name == "/pg_tblspc") {
            only_known_files(&path, &child, proofs, found)
        } else if kind.is_symlink() {
            true
        } else {
            *found += 1;
            proofs.files.contains_key(child.as_str())
        };
        if !is_known {
            return false;
        }
    }
    true
}
