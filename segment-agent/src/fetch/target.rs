//! The directory that a backup is restored into.
//!
//! While a restore is under way the directory holds a marker, locked by the process at work. Paths from the backup are never
//! trusted: no `..`, and no symbolic link is followed but those of the tablespaces, which are made here. The directory of every
//! tablespace holds a marker too, a link to the data directory, so that no two restores take the same one.

use std::collections::HashSet;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use formats::TablespaceSpec;
use nix::fcntl::{OFlag, PosixFadviseAdvice, posix_fadvise};

use super::finished::RECORD;
use super::open_file::OpenFile;
use super::spaces::{claim_tablespace, refuse_used_tablespaces, remove_if_there};
use crate::error::{Error, Result};

/// Present while a restore is not finished.
pub const MARKER: &str = ".damson-restore";

/// In the marker from the moment on when nothing is left but to take the markers away.
const FINISHING: &str = "finishing";

/// The kernel is asked to begin writing each time so much of a file is waiting, so that the flush at the end finds little left.
const WRITE_BEHIND_BYTES: u64 = 2 << 20;

const LOCK_ATTEMPTS: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

pub struct Target {
    root: PathBuf,
    tablespaces: TablespaceSpec,
    durable: bool,
    resumed: bool,
    /// First line: what is being restored; then one line for every archive that was unpacked to its end.
    marker: Mutex<File>,
    finished: HashSet<String>,
}

impl Target {
    /// Takes possession of `root`: it must be absent, empty, or hold an unfinished restore of the same backup (`identity`).
    pub fn claim(root: PathBuf, tablespaces: TablespaceSpec, identity: String, durable: bool) -> Result<Self> {
        make_directories(&root)?;
        let earlier = refuse_foreign_content(&root, &identity)?;
        if earlier.is_none() {
            refuse_used_tablespaces(&root, &tablespaces)?;
        }
        let path = root.join(MARKER);
        let fail = |error| Error::file("writing", &path, error);
        let mut marker = OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(fail)?;
        if !lock_with_patience(&marker) {
            let what = format!("another restore into {} is under way", root.display());
            return Err(Error::refused(what, "wait for it, or stop it, then run the same command again"));
        }
        if earlier.is_none() {
            writeln!(marker, "{identity}").and_then(|()| marker.sync_all()).map_err(fail)?;
        }
        let (resumed, finished) = (earlier.is_some(), earlier.unwrap_or_default());
        let target = Self { root, tablespaces, durable, resumed, marker: Mutex::new(marker), finished };
        target.make_tablespaces()?;
        remove_if_there(&target.root.join(RECORD))?;
        Ok(target)
    }

    /// True if an earlier run has restored a part of the same backup here.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Archives that an earlier run unpacked to their end.
    pub fn finished_by_earlier_run(&self) -> HashSet<String> {
        self.finished.clone()
    }

    /// Notes that an archive was unpacked to its end. Flushed, so that the note never outlives the directories it vouches for.
    pub fn note_finished(&self, archive: &str) -> Result<()> {
        let mut marker = self.marker.lock().unwrap_or_else(PoisonError::into_inner);
        let flush = |marker: &mut File| if self.durable { marker.sync_data() } else { Ok(()) };
        writeln!(marker, "{archive}")
            .and_then(|()| flush(&mut marker))
            .map_err(|error| Error::file("writing", self.root.join(MARKER), error))
    }

    /// Where `name` of the backup lies; nothing for the directory itself.
    pub fn resolve(&self, name: &str) -> Result<PathBuf> {
        let relative = Path::new(name.trim_start_matches('/'));
        let plain = relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !plain || name.contains('\0') || relative.starts_with(MARKER) {
            let what =
                format!("the backup holds a file named {name:?}, which would be written outside the data directory");
            return Err(Error::refused(what, "do not restore this backup: it was tampered with"));
        }
        Ok(self.root.join(relative))
    }

    /// Creates a directory with its parents and sets its mode.
    pub fn make_directory(&self, name: &str, mode: u32) -> Result<()> {
        let path = self.resolve(name)?;
        self.refuse_links_above(&path)?;
        make_directories(&path)?;
        std::fs::set_permissions(&path, Permissions::from_mode(mode))
            .map_err(|error| Error::file("setting the mode of", &path, error))
    }

    /// Creates or empties a file; its mode is set by [`seal`](Self::seal).
    pub fn create_file(&self, name: &str) -> Result<(File, PathBuf)> {
        let path = self.resolve(name)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
        self.refuse_links_above(&path)?;
        let opened = match options.open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                make_directories(path.parent().unwrap_or(&self.root))?;
                options.open(&path)
            }
            opened => opened,
        };
        let file = opened.map_err(|error| Error::file("creating", &path, error))?;
        Ok((file, path))
    }

    /// Hands what was written of a file to the disk early, once it is much; returns up to where that was done. Linux begins to
    /// write dirty pages of which it is told that they are not needed any more. Only a hint: `finish` flushes everything.
    pub fn begin_writing(&self, file: &File, handed_over: u64, written: u64) -> u64 {
        let waiting = written - handed_over;
        if !self.durable || waiting < WRITE_BEHIND_BYTES {
            return handed_over;
        }
        if let (Ok(from), Ok(length)) = (i64::try_from(handed_over), i64::try_from(waiting)) {
            let _ = posix_fadvise(file, from, length, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
        }
        written
    }

    /// Opens a file that was restored already, to change it.
    pub fn open_file(&self, name: &str) -> Result<OpenFile<'_>> {
        let path = self.resolve(name)?;
        self.refuse_links_above(&path)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(OFlag::O_NOFOLLOW.bits());
        let file = options.open(&path).map_err(|error| Error::file("opening", &path, error))?;
        Ok(OpenFile { target: self, file, path })
    }

    /// Ends a file.
    pub fn seal(&self, file: &File, path: &Path, mode: u32) -> Result<()> {
        file.set_permissions(Permissions::from_mode(mode))
            .map_err(|error| Error::file("setting the mode of", path, error))
    }

    /// Takes the control file away again, damaged or unproved as it may be: without it no server starts here. What fails meanwhile
    /// was told already.
    pub fn withhold_control_file(&self) {
        let _ = std::fs::remove_file(self.root.join("global/pg_control"));
    }

    /// Makes a symbolic link; an equal one may be there from an earlier run.
    pub fn make_link(&self, name: &str, points_to: &Path) -> Result<()> {
        let path = self.resolve(name)?;
        self.refuse_links_above(&path)?;
        make_link(&path, points_to)
    }

    /// Flushes everything, then takes the markers away: from here on the directory is whole. `before_release` runs between the
    /// two, with the data directory.
    pub fn finish(&self, before_release: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let locations: Vec<_> = self.tablespaces.tablespaces.values().map(|space| PathBuf::from(&space.loc)).collect();
        if self.durable {
            for place in std::iter::once(&self.root).chain(&locations) {
                flush_file_system(place)?;
            }
        }
        self.note_finished(FINISHING)?;
        for location in &locations {
            remove_if_there(&location.join(MARKER))?;
        }
        before_release(&self.root)?;
        let path = self.root.join(MARKER);
        std::fs::remove_file(&path).map_err(|error| Error::file("removing", &path, error))?;
        if self.durable { flush_file_system(&self.root) } else { Ok(()) }
    }

    fn make_tablespaces(&self) -> Result<()> {
        for space in self.tablespaces.tablespaces.values() {
            let location = PathBuf::from(&space.loc);
            make_directories(&location)?;
            if !self.finished.contains(FINISHING) {
                claim_tablespace(&self.root, &location)?;
            }
            let link = self.resolve(&space.link)?;
            make_directories(link.parent().unwrap_or(&self.root))?;
            make_link(&link, &location)?;
        }
        Ok(())
    }

    /// Refuses to write through a link that the backup brought along.
    fn refuse_links_above(&self, path: &Path) -> Result<()> {
        let Some(parent) = path.parent() else { return Ok(()) };
        let Ok(inside) = parent.strip_prefix(&self.root) else { return Ok(()) };
        let mut current = self.root.clone();
        for part in inside.components() {
            current.push(part);
            let is_link = std::fs::symlink_metadata(&current).is_ok_and(|metadata| metadata.is_symlink());
            if is_link && !self.is_tablespace_link(&current) {
                let what = format!("{} is a symbolic link, and the backup has files below it", current.display());
                return Err(Error::refused(what, "remove the link, then run the same command again"));
            }
        }
        Ok(())
    }

    fn is_tablespace_link(&self, path: &Path) -> bool {
        self.tablespaces.tablespaces.values().any(|space| self.root.join(space.link.trim_start_matches('/')) == path)
    }
}

/// The archives that an earlier run of the same backup finished; nothing if the directory is empty, an error if it holds
/// anything else.
fn refuse_foreign_content(root: &Path, identity: &str) -> Result<Option<HashSet<String>>> {
    let path = root.join(MARKER);
    match std::fs::read_to_string(&path) {
        Ok(marker) if marker.lines().next().unwrap_or(identity) == identity => {
            // A last line without its end was being written when the run was interrupted.
            let whole = marker.rfind('\n').map_or("", |end| &marker[..end]);
            return Ok(Some(whole.lines().skip(1).map(str::to_owned).collect()));
        }
        Ok(marker) => {
            let earlier = marker.lines().next().unwrap_or_default();
            let what = format!("{} holds an unfinished restore of {earlier}, not of {identity}", root.display());
            return Err(Error::refused(
                what,
                "finish that restore, or empty the directory, then run the command again",
            ));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(Error::file("reading", &path, error)),
    }
    let mut entries = std::fs::read_dir(root).map_err(|error| Error::file("listing", root, error))?;
    if entries.next().is_none() {
        return Ok(None);
    }
    let what = format!("Directory {} for delta base must be empty: it holds files", root.display());
    Err(Error::refused(
        what,
        "empty the directory (check first that nothing in it is needed), or restore to another one",
    ))
}

/// A lock lives on for an instant in a child that its holder was just starting, so a busy one is tried again.
fn lock_with_patience(marker: &File) -> bool {
    (0..LOCK_ATTEMPTS).any(|attempt| {
        if attempt > 0 {
            std::thread::sleep(LOCK_PAUSE);
        }
        marker.try_lock().is_ok()
    })
}

fn make_directories(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| Error::file("creating the directory", path, error))
}

fn make_link(path: &Path, points_to: &Path) -> Result<()> {
    match symlink(points_to, path) {
        Err(error)
            if error.kind() == ErrorKind::AlreadyExists && std::fs::read_link(path).is_ok_and(|is| is == points_to) =>
        {
            Ok(())
        }
        made => made.map_err(|error| Error::file("linking", path, error)),
    }
}

/// One call for all files: much cheaper than one per file, and it covers the directories too.
fn flush_file_system(place: &Path) -> Result<()> {
    let directory = File::open(place).map_err(|error| Error::file("opening", place, error))?;
    nix::unistd::syncfs(&directory).map_err(|error| Error::file("flushing", place, error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(root: &Path, identity: &str) -> Result<Target> {
        Target::claim(root.to_owned(), TablespaceSpec::default(), identity.to_owned(), false)
    }

    #[test]
    fn a_directory_with_content_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x"), b"1").unwrap();
        assert!(claim(dir.path(), "b in s").is_err());
    }

    #[test]
    fn an_interrupted_restore_is_taken_up_and_a_foreign_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        claim(dir.path(), "b in s").unwrap().note_finished("part_001.tar.lz4").unwrap();
        let again = claim(dir.path(), "b in s").unwrap();
        assert!(again.is_resumed());
        assert_eq!(again.finished_by_earlier_run(), HashSet::from(["part_001.tar.lz4".to_owned()]));
        drop(again);
        assert!(claim(dir.path(), "c in s").is_err());
        claim(dir.path(), "b in s").unwrap().finish(|_| Ok(())).unwrap();
        assert!(!claim(dir.path(), "c in s").unwrap().is_resumed());
    }

    #[test]
    fn a_used_tablespace_is_refused_again_and_again() {
        let (dir, space) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(space.path().join("x"), b"1").unwrap();
        let loc = space.path().to_str().unwrap();
        let spec = format!(r#"{{"base_prefix":"/b","tablespaces":["5"],"5":{{"loc":"{loc}","link":"pg_tblspc/5"}}}}"#);
        let spec: TablespaceSpec = serde_json::from_str(&spec).unwrap();
        let claim = || Target::claim(dir.path().to_owned(), spec.clone(), "b in s".to_owned(), false);
        for _ in 0..2 {
            assert!(claim().is_err_and(|error| error.to_string().contains(loc)));
        }
        std::fs::remove_file(space.path().join("x")).unwrap();
        assert!(!claim().unwrap().is_resumed());
    }

    #[test]
    fn two_restores_at_once_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let _first = claim(dir.path(), "b in s").unwrap();
        assert!(claim(dir.path(), "b in s").is_err());
    }

    #[test]
    fn hostile_names_do_not_leave_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let target = claim(dir.path(), "b in s").unwrap();
        for name in ["../x", "/base/../../x", "/base/\0", "/.damson-restore"] {
            assert!(target.create_file(name).is_err(), "{name:?}");
        }
        target.make_link("/evil", outside.path()).unwrap();
        assert!(target.create_file("/evil/x").is_err());
        assert!(target.create_file("/evil").is_err());
    }
}
