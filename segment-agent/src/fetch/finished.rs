//! Recognising a directory that an earlier run restored to its end.
//!
//! A restore of a whole cluster may have failed on one segment after others were done. Run again, it must not stumble over
//! those. A directory that holds exactly the files of the manifest needs no work. Where a file was put together from several
//! backups no hash of the whole is known: there the run that finished leaves a record of every file's size, times and inode,
//! and the directory counts as finished as long as nothing of that has changed.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::Fetched;
use super::extract::Level;
use super::plan::{SharedWant, Want};
use super::proofs::{FileProof, Proofs, TABLESPACE_MAP};
use super::target::MARKER;
use crate::error::{Error, Result};

/// What a finished restore leaves in the directory; taken away when its settings are written.
pub const RECORD: &str = ".damson-restored";

/// What a restored file must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    pub bytes: u64,
    pub mode: u32,
    pub blake3: [u8; 32],
}

impl Content {
    /// Of a file that comes whole out of an archive.
    pub fn of_want(name: &str, want: &Want, proofs: Option<&Proofs>) -> Option<Self> {
        let is_whole = |proof: &&FileProof| want.last && !want.increment && !proof.increment;
        let proof = proofs?.files.get(name).filter(is_whole)?;
        Some(Self { bytes: proof.bytes, mode: proof.mode, blake3: proof.blake3 })
    }

    /// Of a file that is an object of its own.
    pub fn of_shared(want: &SharedWant) -> Option<Self> {
        let shared = Some(&want.shared).filter(|shared| want.last && !shared.increment)?;
        Some(Self { bytes: shared.size?, mode: shared.mode, blake3: shared.blake3? })
    }
}

/// Everything that a restore gives, by path.
#[derive(Default)]
pub struct Expected<'a> {
    proved: HashMap<&'a str, Content>,
    /// Files of which no hash is known, and everything that is no file.
    others: Vec<&'a str>,
}

impl<'a> Expected<'a> {
    pub fn of(levels: &'a [Level], shared: &'a [SharedWant], without_tablespace_map: bool) -> Self {
        let mut expected = Self::default();
        let archived = levels.iter().flat_map(|level| {
            let last = level.wants.iter().filter(|(_, want)| want.last);
            last.map(|(name, want)| (&**name, Content::of_want(name, want, level.proofs.as_ref())))
        });
        let shared = shared.iter().filter(|want| want.last).map(|want| (&*want.path, Content::of_shared(want)));
        for (name, content) in archived.chain(shared) {
            match content {
                _ if without_tablespace_map && name == TABLESPACE_MAP => {}
                Some(content) => drop(expected.proved.insert(name, content)),
                None => expected.others.push(name),
            }
        }
        expected
    }
}

/// What a restore into `root` would give, if all of it is there already and nothing else. Names, sizes and modes are compared
/// first, so that a directory in use is told without reading it.
pub fn recognise(
    root: &Path,
    expected: &Expected<'_>,
    identity: &str,
    cancel: &CancellationToken,
) -> Result<Option<Fetched>> {
    if !root.join("global/pg_control").exists() || root.join(MARKER).exists() {
        return Ok(None);
    }
    let place = |name: &str| root.join(name.trim_start_matches('/'));
    let is_no_file = |name: &&str| std::fs::symlink_metadata(place(name)).is_ok_and(|is| !is.is_file());
    if !expected.others.iter().all(is_no_file) {
        return Ok(is_recorded(root, identity));
    }
    let mut found = 0;
    if expected.proved.is_empty() || !only_known_files(root, "", expected, &mut found) {
        return Ok(None);
    }
    let sizes_are_right = expected.proved.iter().all(|(name, content)| has_size_and_mode(&place(name), *content));
    if found != expected.proved.len() || !sizes_are_right {
        return Ok(None);
    }
    let mut buffer = vec![0; 1 << 20];
    let mut done = Fetched { proved: true, ..Fetched::default() };
    for (name, content) in &expected.proved {
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        if !is_restored(&place(name), *content, &mut buffer) {
            return Ok(None);
        }
        done = done.with_kept_file(content.bytes);
    }
    Ok(Some(done))
}

/// Walks `folder` (its name inside the data directory is `name`) and counts its files; false at the first unknown one, and at
/// whatever cannot be read. Links are followed where they lead to tablespaces.
fn only_known_files(folder: &Path, name: &str, expected: &Expected<'_>, found: &mut usize) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    for entry in entries {
        let Ok(entry) = entry else { return false };
        let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { return false };
        let Some(child) = entry.file_name().to_str().map(|child| format!("{name}/{child}")) else { return false };
        let is_known = if kind.is_dir() || (kind.is_symlink() && name == "/pg_tblspc") {
            only_known_files(&path, &child, expected, found)
        } else if kind.is_symlink() || path == folder.join(RECORD) {
            true
        } else {
            *found += 1;
            expected.proved.contains_key(child.as_str())
        };
        if !is_known {
            return false;
        }
    }
    true
}

/// Whether the file at `path` is what is promised. Whatever cannot be read is not.
pub fn is_restored(path: &Path, content: Content, buffer: &mut [u8]) -> bool {
    if !has_size_and_mode(path, content) {
        return false;
    }
    let Ok(mut file) = File::open(path) else { return false };
    let mut hasher = blake3::Hasher::new();
    loop {
        match file.read(buffer) {
            Ok(0) => return *hasher.finalize().as_bytes() == content.blake3,
            Ok(count) => hasher.update(&buffer[..count]),
            Err(_) => return false,
        };
    }
}

/// The mode counts: an interruption between the last byte of a file and its mode leaves the mode wrong.
fn has_size_and_mode(path: &Path, content: Content) -> bool {
    std::fs::symlink_metadata(path)
        .is_ok_and(|is| is.is_file() && is.len() == content.bytes && is.permissions().mode() & 0o7777 == content.mode)
}

/// Leaves a record of the finished restore `identity` in `root`.
pub fn leave_record(root: &Path, identity: &str) -> Result<()> {
    let path = root.join(RECORD);
    let tree = Tree::of(root).map_err(|error| Error::file("listing", root, error))?;
    let text = format!("{identity}\n{} {} {}\n", tree.files, tree.bytes, tree.hash.to_hex());
    std::fs::write(&path, text).map_err(|error| Error::file("writing", &path, error))
}

fn is_recorded(root: &Path, identity: &str) -> Option<Fetched> {
    let record = std::fs::read_to_string(root.join(RECORD)).ok()?;
    let (first, rest) = record.split_once('\n')?;
    let tree = Tree::of(root).ok()?;
    let is = format!("{} {} {}\n", tree.files, tree.bytes, tree.hash.to_hex());
    let done = Fetched { files: tree.files, bytes: tree.bytes, kept_files: tree.files, proved: false };
    (first == identity && rest == is).then_some(done)
}

/// All of a directory, told by what the file system knows of each file.
struct Tree {
    files: u64,
    bytes: u64,
    hash: blake3::Hash,
}

impl Tree {
    fn of(root: &Path) -> std::io::Result<Self> {
        let (mut files, mut bytes, mut hasher) = (0, 0, blake3::Hasher::new());
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            let mut paths: Vec<PathBuf> = Vec::new();
            for entry in std::fs::read_dir(&folder)? {
                paths.push(entry?.path());
            }
            paths.sort();
            for path in paths.into_iter().filter(|path| *path != root.join(RECORD) && *path != root.join(MARKER)) {
                let is = std::fs::symlink_metadata(&path)?;
                hasher.update(path.as_os_str().as_bytes()).update(&[0]);
                if is.is_dir() {
                    folders.push(path);
                } else if is.is_symlink() {
                    hasher.update(std::fs::read_link(&path)?.as_os_str().as_bytes());
                    if folder == root.join("pg_tblspc") {
                        folders.push(path);
                    }
                } else {
                    files += 1;
                    bytes += is.len();
                    for number in [is.mtime(), is.mtime_nsec(), is.ctime(), is.ctime_nsec()] {
                        hasher.update(&number.to_le_bytes());
                    }
                    for number in [is.len(), is.ino(), is.dev(), u64::from(is.mode())] {
                        hasher.update(&number.to_le_bytes());
                    }
                }
            }
        }
        Ok(Self { files, bytes, hash: hasher.finalize() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_holds_until_something_changes() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        std::fs::create_dir_all(root.join("base/1")).unwrap();
        std::fs::write(root.join("base/1/1"), b"one").unwrap();
        leave_record(root, "b in s").unwrap();
        assert_eq!(is_recorded(root, "b in s").unwrap().bytes, 3);
        assert_eq!(is_recorded(root, "c in s"), None);
        // The same content again, but written.
        std::fs::write(root.join("base/1/1"), b"one").unwrap();
        assert_eq!(is_recorded(root, "b in s"), None);
        leave_record(root, "b in s").unwrap();
        std::fs::write(root.join("base/1/2"), b"").unwrap();
        assert_eq!(is_recorded(root, "b in s"), None);
    }
}
