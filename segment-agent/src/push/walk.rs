//! The walk over a data directory: which files a backup holds, and under which names.
//!
//! Names are WAL-G's: they start with `/`, are relative to the data directory, and files of a tablespace stand under
//! `/pg_tblspc/<oid>`. The walk is lazy and depth-first in lexical order, so memory does not grow with the number of files.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use formats::{TablespaceLocation, TablespaceSpec};
use pgdata::{Treatment, treatment};

use crate::error::{Error, Result};

/// The control file: stored last, in an archive of its own.
pub const CONTROL_FILE: &str = "/global/pg_control";

/// How far apart two writes can be and still leave the same time on a file; ticks of a kernel's clock have a tenth of it.
pub const CLOCK_TICK_NANOS: i64 = 100_000_000;

/// One entry of the data directory that goes into the backup.
#[derive(Debug)]
pub struct Entry {
    /// `/base/1/112`; `/` is the data directory itself.
    pub name: String,
    pub path: PathBuf,
    pub metadata: Metadata,
    /// When `metadata` was read, nanoseconds since 1970.
    pub seen_nanos: i64,
    /// Where a symbolic link points.
    pub link_target: Option<PathBuf>,
}

impl Entry {
    pub fn new(name: String, path: PathBuf, metadata: Metadata) -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seen_nanos = i64::try_from(since_1970.as_nanos()).unwrap_or(i64::MAX);
        Self { name, path, metadata, seen_nanos, link_target: None }
    }

    pub fn is_file(&self) -> bool {
        self.metadata.is_file()
    }

    /// Last modification, nanoseconds since 1970.
    pub fn modified_nanos(&self) -> i64 {
        modified_nanos(&self.metadata)
    }

    /// The time to note for the next delta, which passes over files whose time is equal. The clock of a file system stands still
    /// between its ticks: a file that was written just before it was looked at may be written again without a new time. Its
    /// time is therefore noted a nanosecond lower, so that the next delta looks into it.
    pub fn noted_nanos(&self) -> i64 {
        let modified = self.modified_nanos();
        let is_settled = modified < self.seen_nanos.saturating_sub(CLOCK_TICK_NANOS);
        if is_settled { modified } else { modified.saturating_sub(1) }
    }
}

/// Last modification, nanoseconds since 1970.
pub fn modified_nanos(metadata: &Metadata) -> i64 {
    metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec())
}

/// A directory that is being walked: its children that are still to come, last one first.
struct Level {
    path: PathBuf,
    name: String,
    children: Vec<std::ffi::OsString>,
}

/// Iterator over the entries of a data directory.
pub struct Walk {
    root: PathBuf,
    levels: Vec<Level>,
    started: bool,
    tablespaces: TablespaceSpec,
}

impl Walk {
    pub fn new(data_dir: &Path) -> Self {
        let tablespaces = TablespaceSpec { base_prefix: data_dir.to_string_lossy().into_owned(), ..Default::default() };
        Self { root: data_dir.to_owned(), levels: Vec::new(), started: false, tablespaces }
    }

    /// The tablespaces met so far.
    pub fn tablespaces(&self) -> &TablespaceSpec {
        &self.tablespaces
    }

    fn advance(&mut self) -> Result<Option<Entry>> {
        if !self.started {
            self.started = true;
            let root = self.root.clone();
            return self.enter(root, "/".to_owned()).map(Some);
        }
        while let Some(level) = self.levels.last_mut() {
            let Some(child) = level.children.pop() else {
                self.levels.pop();
                continue;
            };
            let path = level.path.join(&child);
            let Some(text) = child.to_str() else { return Err(unspeakable(&path)) };
            let parent = if level.name == "/" { "" } else { level.name.as_str() };
            let name = format!("{parent}/{text}");
            let in_tablespaces = level.name == "/pg_tblspc";
            if let Some(entry) = self.visit(path, name, in_tablespaces)? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// The entry for `path`, or nothing if it is left out. A file that vanished meanwhile is left out: the log recreates it.
    fn visit(&mut self, path: PathBuf, name: String, in_tablespaces: bool) -> Result<Option<Entry>> {
        let metadata = match std::fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file("reading", &path, error)),
        };
        if metadata.is_symlink() && in_tablespaces {
            self.enter_tablespace(path, name)?;
            return Ok(None);
        }
        let basename = name.rsplit('/').next().unwrap_or_default();
        match treatment(basename) {
            Treatment::DirectoryOnly if metadata.is_dir() => {
                return Ok(Some(Entry::new(name, path, metadata)));
            }
            // A linked pg_wal must come back as a directory, or the restored server does not start.
            Treatment::DirectoryOnly if metadata.is_symlink() => return linked_directory(path, name),
            Treatment::DirectoryOnly => return Ok(None),
            Treatment::Last if name == CONTROL_FILE => return Ok(None),
            Treatment::Last | Treatment::Copy => {}
        }
        if metadata.is_dir() {
            return match self.enter(path, name) {
                Err(Error::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
                entered => entered.map(Some),
            };
        }
        let link_target = if metadata.is_symlink() {
            Some(std::fs::read_link(&path).map_err(|error| Error::file("reading the link", &path, error))?)
        } else if metadata.is_file() {
            None
        } else {
            return Ok(None); // sockets and pipes belong to the running server
        };
        Ok(Some(Entry { link_target, ..Entry::new(name, path, metadata) }))
    }

    fn enter(&mut self, path: PathBuf, name: String) -> Result<Entry> {
        let metadata = std::fs::metadata(&path).map_err(|error| Error::file("reading", &path, error))?;
        let children = sorted_children(&path)?;
        self.levels.push(Level { path: path.clone(), name: name.clone(), children });
        Ok(Entry::new(name, path, metadata))
    }

    /// A link in pg_tblspc and the directory behind it are recorded, not stored; what lies below is walked at once.
    fn enter_tablespace(&mut self, path: PathBuf, name: String) -> Result<()> {
        let location =
            std::fs::canonicalize(&path).map_err(|error| Error::file("following the tablespace link", &path, error))?;
        let link = name.trim_start_matches('/').to_owned();
        let oid = link.rsplit('/').next().unwrap_or_default().to_owned();
        let loc = location.to_str().ok_or_else(|| unspeakable(&location))?.to_owned();
        self.tablespaces.tablespaces.insert(oid, TablespaceLocation { loc, link });
        let children = sorted_children(&location)?;
        self.levels.push(Level { path: location, name, children });
        Ok(())
    }
}

impl Iterator for Walk {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

/// Names in `path`, last in lexical order first.
fn sorted_children(path: &Path) -> Result<Vec<std::ffi::OsString>> {
    let fail = |error| Error::file("listing", path, error);
    let entries = std::fs::read_dir(path).map_err(fail)?;
    let mut names =
        entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<Vec<_>, _>>().map_err(fail)?;
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names)
}

fn linked_directory(path: PathBuf, name: String) -> Result<Option<Entry>> {
    match std::fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => Ok(Some(Entry::new(name, path, metadata))),
        _ => Ok(None),
    }
}

fn unspeakable(path: &Path) -> Error {
    Error::refused(
        format!("the name of {} is not valid UTF-8, and the backup's format cannot hold it", path.display()),
        "rename or remove the file, then run the backup again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        Walk::new(dir).map(|entry| entry.unwrap().name).collect()
    }

    #[test]
    fn lexical_order_with_exclusions() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["base/1", "pg_wal/archive_status", "global", "pg_tblspc"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        for file in [
            "PG_VERSION",
            "base/1/112",
            "base/1/113",
            "global/pg_control",
            "pg_wal/000000010000000000000001",
            "postmaster.pid",
        ] {
            std::fs::write(dir.path().join(file), b"x").unwrap();
        }
        assert_eq!(
            names(dir.path()),
            ["/", "/PG_VERSION", "/base", "/base/1", "/base/1/112", "/base/1/113", "/global", "/pg_tblspc", "/pg_wal"]
        );
    }

    #[test]
    fn tablespaces_are_followed_and_recorded() {
        let dir = tempfile::tempdir().unwrap();
        let space = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(space.path().join("PG_15_1/5")).unwrap();
        std::fs::write(space.path().join("PG_15_1/5/16390"), b"x").unwrap();
        std::fs::create_dir(dir.path().join("pg_tblspc")).unwrap();
        std::os::unix::fs::symlink(space.path(), dir.path().join("pg_tblspc/16384")).unwrap();
        let mut walk = Walk::new(dir.path());
        let found: Vec<_> = walk.by_ref().map(|entry| entry.unwrap().name).collect();
        let expected = [
            "/",
            "/pg_tblspc",
            "/pg_tblspc/16384/PG_15_1",
            "/pg_tblspc/16384/PG_15_1/5",
            "/pg_tblspc/16384/PG_15_1/5/16390",
        ];
        assert_eq!(found, expected);
        assert_eq!(walk.tablespaces().tablespaces["16384"].link, "pg_tblspc/16384");
    }

    /// What was written just before it was looked at may be written again without a new time, so its time is no proof.
    #[test]
    fn fresh_times_are_noted_a_nanosecond_lower() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, b"x").unwrap();
        let entry = || Entry::new("/f".to_owned(), path.clone(), std::fs::symlink_metadata(&path).unwrap());
        assert_eq!(entry().noted_nanos(), entry().modified_nanos() - 1);
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        let now = SystemTime::now();
        file.set_modified(now + std::time::Duration::from_secs(3600)).unwrap();
        assert_eq!(entry().noted_nanos(), entry().modified_nanos() - 1, "a clock that was set back");
        file.set_modified(now - std::time::Duration::from_millis(500)).unwrap();
        assert_eq!(entry().noted_nanos(), entry().modified_nanos());
    }
}
