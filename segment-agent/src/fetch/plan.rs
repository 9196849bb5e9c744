//! What a restore takes from which backup of a chain: decided from the metadata alone, before anything is written. Pure.
//!
//! The backup that is restored says which files there are. Each is wanted from it, unless it says that the file is unchanged or
//! only an increment: then the file is wanted from the backup below too, down to the one that holds it whole. Levels are
//! planned newest first and restored oldest first.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::AtomicBool;

use formats::{BackupName, layout};

use super::shared::Shared;
use crate::error::{Error, Result};

/// What files_metadata.json says of one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// It stands in `Files`; members of archives alone do not.
    pub listed: bool,
    pub increment: bool,
    pub skipped: bool,
    pub tar: Tar,
}

/// Which archive lists a file: an index into [`FileList::tars`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tar {
    #[default]
    None,
    One(u32),
    Several,
}

/// files_metadata.json, by path with a leading slash.
#[derive(Debug, Default)]
pub struct FileList {
    pub records: HashMap<Box<str>, Record>,
    pub tars: Vec<String>,
}

/// What is stored of one backup of a chain.
pub struct Stored {
    pub backup: BackupName,
    pub is_delta: bool,
    /// Absent where the backup was made without one.
    pub files: Option<FileList>,
    /// Files that are objects of their own.
    pub shared: BTreeMap<Box<str>, Shared>,
    /// Archives that the storage holds, by file name, with their sizes.
    pub archives: BTreeMap<String, u64>,
    /// Paths that the manifest promises; they count where there is no file list.
    pub promised: Vec<Box<str>>,
}

/// What one file needs of one backup.
#[derive(Debug, Default)]
pub struct Want {
    /// The archive holds only the changed pages; a lower level gives the rest.
    pub increment: bool,
    /// No higher level touches the file.
    pub last: bool,
    /// An earlier run restored it.
    pub kept: bool,
    pub seen: AtomicBool,
}

/// A file that is an object of its own, and whether no higher level touches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedWant {
    pub path: Box<str>,
    pub shared: Shared,
    pub last: bool,
}

/// What is taken from one backup.
pub struct LevelPlan {
    pub backup: BackupName,
    /// File names, largest first.
    pub archives: Vec<String>,
    pub shared: Vec<SharedWant>,
    /// Files in archives, directories and links included.
    pub wants: HashMap<Box<str>, Want>,
    /// Members that are not among `wants` are restored too: there is no list of files.
    pub everything: bool,
}

/// A file that a higher level needs from the next one.
struct Needed {
    /// A higher level writes an increment on top.
    touched: bool,
    /// The object that must hold it, where the higher level says so.
    object: Option<String>,
}

/// Plans a chain, one backup after the other, the newest first.
pub struct Planner<'a> {
    /// Files that are to be restored at all.
    chosen: &'a (dyn Fn(&str) -> bool + Sync),
    /// Of the next backup; `None` before the first.
    needed: Option<HashMap<Box<str>, Needed>>,
    above: Option<BackupName>,
}

impl<'a> Planner<'a> {
    pub fn new(chosen: &'a (dyn Fn(&str) -> bool + Sync)) -> Self {
        Self { chosen, needed: None, above: None }
    }

    /// Plans the next backup. An error names the backup and the file that cannot be restored from it.
    pub fn add(&mut self, stored: Stored) -> Result<LevelPlan> {
        let candidates = self.candidates(&stored);
        let Stored { backup, is_delta, files, mut shared, archives, .. } = stored;
        let everything = files.is_none() && self.above.is_none();
        let listing = Listing { backup: &backup, is_delta, files: files.as_ref() };
        let mut level = LevelPlan {
            backup: backup.clone(),
            archives: Vec::new(),
            shared: Vec::new(),
            wants: HashMap::new(),
            everything,
        };
        let mut next = HashMap::new();
        let mut tars = Tars::default();
        for (path, needed) in candidates {
            let entry = shared.remove(&path);
            let last = !needed.touched;
            let source = listing.decide(&path, entry.as_ref())?;
            check_object(&backup, &path, &needed, entry.as_ref(), &source)?;
            match source {
                Source::Below => {
                    let object = entry.map(|entry| entry.key).or(needed.object);
                    next.insert(path, Needed { object, ..needed });
                }
                Source::Shared { increment } => {
                    if increment {
                        next.insert(path.clone(), Needed { touched: true, object: None });
                    }
                    level.shared.extend(entry.map(|shared| SharedWant { path, shared, last }));
                }
                Source::Archive { tar, increment } => {
                    tars.need(tar);
                    if increment {
                        next.insert(path.clone(), Needed { touched: true, object: None });
                    }
                    level.wants.insert(path, Want { increment, last, ..Want::default() });
                }
            }
        }
        level.archives = tars.names(&backup, files.as_ref(), &archives, everything)?;
        self.needed = Some(next);
        self.above = Some(backup);
        Ok(level)
    }

    /// Of the newest backup everything that is chosen; of the others what those above need of them.
    fn candidates(&mut self, stored: &Stored) -> HashMap<Box<str>, Needed> {
        if let Some(needed) = self.needed.take() {
            return needed;
        }
        let listed = stored.files.iter().flat_map(|files| &files.records);
        let listed = listed.filter(|(_, record)| record.listed).map(|(path, _)| path);
        let promised = stored.promised.iter().filter(|_| stored.files.is_none());
        let paths = listed.chain(promised).chain(stored.shared.keys()).filter(|path| (self.chosen)(path));
        paths.map(|path| (path.clone(), Needed { touched: false, object: None })).collect()
    }
}

/// The same object must stand in the backup that stored it first. Deltas of WAL-G do not list what is unchanged.
fn check_object(
    backup: &BackupName,
    path: &str,
    needed: &Needed,
    entry: Option<&Shared>,
    source: &Source,
) -> Result<()> {
    let Some(wanted) = &needed.object else { return Ok(()) };
    let is_right = match entry {
        Some(entry) => entry.key == *wanted,
        None => matches!(source, Source::Below),
    };
    if is_right {
        return Ok(());
    }
    let why = format!("a delta of {backup} reuses {wanted} for {path}, which {backup} does not list");
    Err(Error::damaged(layout::ao_files_metadata_key(backup), why))
}

/// Where a file comes from.
enum Source {
    Below,
    Shared { increment: bool },
    Archive { tar: Tar, increment: bool },
}

struct Listing<'a> {
    backup: &'a BackupName,
    is_delta: bool,
    files: Option<&'a FileList>,
}

impl Listing<'_> {
    fn decide(&self, path: &str, entry: Option<&Shared>) -> Result<Source> {
        let record = match self.files {
            None => Record { listed: true, ..Record::default() },
            Some(files) => files.records.get(path).copied().unwrap_or_default(),
        };
        if !record.listed && entry.is_none() {
            return Err(self.damaged(path, "it has no record, and a delta above needs it"));
        }
        let source = match entry {
            Some(entry) if !entry.increment => return Ok(Source::Shared { increment: false }),
            Some(entry) if entry.reused && record.skipped => Source::Below,
            Some(_) => Source::Shared { increment: true },
            None if record.skipped => Source::Below,
            None => return self.archive(path, record),
        };
        if self.is_delta {
            return Ok(source);
        }
        Err(self.damaged(path, "it is not whole, and the backup is based on no other"))
    }

    fn archive(&self, path: &str, record: Record) -> Result<Source> {
        let increment = record.increment;
        if increment && !self.is_delta {
            return Err(self.damaged(path, "it is said to be an increment, and the backup is based on no other"));
        }
        let lists_archives = self.files.is_some_and(|files| !files.tars.is_empty());
        if record.tar == Tar::None && lists_archives {
            let what = if increment { "its increment" } else { "it" };
            return Err(self.damaged(path, &format!("neither an archive nor the list of shared files has {what}")));
        }
        Ok(Source::Archive { tar: record.tar, increment })
    }

    fn damaged(&self, path: &str, why: &str) -> Error {
        Error::damaged(layout::files_metadata_key(self.backup), format!("file {path} cannot be restored: {why}"))
    }
}

/// Which archives are needed.
#[derive(Default)]
struct Tars {
    some: BTreeSet<u32>,
    all: bool,
}

impl Tars {
    fn need(&mut self, tar: Tar) {
        match tar {
            Tar::One(index) => drop(self.some.insert(index)),
            Tar::None | Tar::Several => self.all = true,
        }
    }

    /// Their names, largest first. An archive that no list knows was left behind by a push that failed, and is left alone.
    fn names(
        &self,
        backup: &BackupName,
        files: Option<&FileList>,
        archives: &BTreeMap<String, u64>,
        everything: bool,
    ) -> Result<Vec<String>> {
        let tars = files.map(|files| files.tars.as_slice()).unwrap_or_default();
        let listed = tars.iter().zip(0..).filter(|(_, index)| self.all || self.some.contains(index));
        let mut names: Vec<&str> = listed.map(|(name, _)| name.as_str()).collect();
        if tars.is_empty() && (self.all || everything) {
            names = archives.keys().map(String::as_str).collect();
        }
        names.retain(|name| !is_last_archive(name));
        let missing: Vec<_> = names.iter().filter(|name| !archives.contains_key(**name)).collect();
        if let Some(first) = missing.first() {
            let why = format!("it is missing, one of {} that the backup's metadata lists", missing.len());
            return Err(Error::damaged(layout::part_key(backup, first), why));
        }
        names.sort_by_key(|name| (std::cmp::Reverse(archives.get(*name).copied()), *name));
        Ok(names.into_iter().map(str::to_owned).collect())
    }
}

/// The archives of `backup_label` and `pg_control`, which come after all others.
pub fn is_last_archive(name: &str) -> bool {
    name.starts_with(layout::LABEL_TAR) || name.starts_with(layout::CONTROL_TAR)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
