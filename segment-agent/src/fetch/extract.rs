//! The workers of a restore: each takes an object, decodes it and writes its files.
//!
//! Bytes are proved on their way: every object against its hash, every file against its own. The first difference ends the
//! restore. Without a manifest, checksums of the codec, the cipher and of append-optimized files are what there is.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use codec::tar::{ArchiveReader, Kind, Member};
use codec::{Codec, Decoder};
use formats::{BackupName, layout};
use tokio_util::sync::CancellationToken;

use super::Fetched;
use super::finished::{self, Content};
use super::plan::{SharedWant, Want};
use super::proofs::{Proofs, TABLESPACE_MAP, archive_name, rooted};
use super::target::Target;
use super::write::{Checks, Incoming, WRITE_BYTES, write_whole};
use super::{patch, shared};
use crate::bridge::{Driver, ObjectDigest, ObjectSource};
use crate::error::{Error, Result, from_io};
use crate::monitor::Monitor;
use crate::pool::Pool;
use crate::repository::Repository;

/// One object to read.
#[derive(Clone, Debug)]
pub enum Job {
    /// An archive in tar_partitions, by file name. `everything`: also members that no list has.
    Archive { level: usize, name: String, everything: bool },
    /// An object that is one file.
    Shared(SharedWant),
}

/// One backup of the chain.
pub struct Level {
    pub backup: BackupName,
    pub wants: HashMap<Box<str>, Want>,
    pub proofs: Option<Proofs>,
}

pub struct Extraction {
    pub repository: Repository,
    pub target: Target,
    /// Oldest first.
    pub levels: Vec<Level>,
    without_tablespace_map: bool,
    pub driver: Driver,
    pub cancel: CancellationToken,
    pub monitor: Monitor,
    /// Archives that need not be read again: unpacked to their end by an earlier run, and every file of them is kept.
    kept_archives: HashSet<String>,
    /// Shared files that an earlier run restored.
    kept_shared: HashSet<Box<str>>,
    counts: Counts,
    links: Mutex<Vec<(String, PathBuf)>>,
}

#[derive(Default)]
struct Counts {
    files: AtomicU64,
    bytes: AtomicU64,
    kept: AtomicU64,
}

impl Extraction {
    pub fn new(
        repository: &Repository,
        target: Target,
        levels: Vec<Level>,
        without_tablespace_map: bool,
        driver: Driver,
        cancel: &CancellationToken,
        monitor: &Monitor,
    ) -> Self {
        Self {
            repository: repository.clone(),
            target,
            levels,
            without_tablespace_map,
            driver,
            cancel: cancel.child_token(),
            monitor: monitor.clone(),
            kept_archives: HashSet::new(),
            kept_shared: HashSet::new(),
            counts: Counts::default(),
            links: Mutex::default(),
        }
    }

    /// Hashes what an earlier run left and keeps what is right. Files that are put together from several backups are restored
    /// anew: nothing tells how far that had come.
    pub fn recognise_finished_files(&mut self, shared: &[SharedWant]) -> Result<()> {
        let mut buffer = vec![0; WRITE_BYTES];
        for want in shared {
            let Some(content) = Content::of_shared(want) else { continue };
            if self.is_restored(&want.path, content, &mut buffer)? {
                self.kept_shared.insert(want.path.clone());
            }
        }
        let mut archives = self.target.finished_by_earlier_run();
        for at in 0..self.levels.len() {
            let mut wants = std::mem::take(&mut self.levels[at].wants);
            for (name, want) in &mut wants {
                let content = Content::of_want(name, want, self.levels[at].proofs.as_ref());
                want.kept = match content {
                    Some(content) => self.is_restored(name, content, &mut buffer)?,
                    None => false,
                };
            }
            let level = &mut self.levels[at];
            level.wants = wants;
            let Some(proofs) = &level.proofs else {
                archives.retain(|archive| !archive.starts_with(&format!("{}/", level.backup)));
                continue;
            };
            for name in level.wants.iter().filter(|(_, want)| !want.kept).map(|(name, _)| name) {
                if let Some(proof) = proofs.files.get(name) {
                    archives.remove(&mark_of(&level.backup, proofs.object_name(proof)));
                }
            }
        }
        self.kept_archives = archives;
        self.count_kept_archives();
        Ok(())
    }

    fn is_restored(&self, name: &str, content: Content, buffer: &mut [u8]) -> Result<bool> {
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        Ok(finished::is_restored(&self.target.resolve(name)?, content, buffer))
    }

    fn count_kept_archives(&self) {
        for level in &self.levels {
            let Some(proofs) = &level.proofs else { continue };
            for (name, want) in &level.wants {
                match proofs.files.get(name) {
                    Some(proof) if self.kept_archives.contains(&mark_of(&level.backup, proofs.object_name(proof))) => {
                        want.seen.store(true, Ordering::Relaxed);
                        self.account(proof.bytes, true);
                    }
                    // Directories; those of archives that are read again are met again.
                    None if !self.kept_archives.is_empty() => want.seen.store(true, Ordering::Relaxed),
                    _ => {}
                }
            }
        }
    }

    /// One worker.
    pub fn run_worker(&self, jobs: &Mutex<VecDeque<Job>>, pool: &Pool) -> Result<()> {
        loop {
            let _permit = pool.acquire(&self.cancel)?;
            let Some(job) = jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front() else { return Ok(()) };
            match &job {
                Job::Archive { level, name, everything } => self.unpack(&self.levels[*level], name, *everything)?,
                Job::Shared(want) if self.kept_shared.contains(&want.path) => {
                    self.account(want.shared.size.unwrap_or(0), true);
                }
                Job::Shared(want) => shared::restore(self, want)?,
            }
        }
    }

    fn unpack(&self, level: &Level, name: &str, everything: bool) -> Result<()> {
        if self.kept_archives.contains(&format!("{}/{name}", level.backup)) {
            return Ok(());
        }
        let key = layout::part_key(&level.backup, name);
        let (_, codec) = Codec::from_file_name(name);
        let source = ObjectSource::open(&self.driver, &self.cancel, self.repository.store(), &key)?;
        let digest = source.whole();
        let damaged = |error: codec::Error| from_io(error.into(), |error| Error::damaged(&key, error));
        let decoder = Decoder::new(codec, &self.repository.cipher, source).map_err(damaged)?;
        let mut archive = ArchiveReader::new(decoder);
        let mut has_links = false;
        while let Some(member) = archive.next_member().map_err(damaged)? {
            let text = member.name_str().map_err(|error| Error::damaged(&key, error))?;
            let path = rooted(text);
            let want = level.wants.get(&path);
            if let Some(want) = want {
                want.seen.store(true, Ordering::Relaxed);
            }
            if want.is_some() || everything {
                has_links |= matches!(member.kind, Kind::Symlink(_));
                self.restore_member(level, &member, text, want, &key, &mut archive)?;
            }
        }
        self.check_object(level, name, &key, digest.get().copied())?;
        // Links are made at the very end, so a run that goes on after an interruption must read them again.
        if has_links { Ok(()) } else { self.target.note_finished(&format!("{}/{name}", level.backup)) }
    }

    fn restore_member<R: Read>(
        &self,
        level: &Level,
        member: &Member,
        name: &str,
        want: Option<&Want>,
        key: &str,
        archive: &mut ArchiveReader<R>,
    ) -> Result<()> {
        match &member.kind {
            Kind::Directory => self.target.make_directory(name, member.mode),
            Kind::Symlink(points_to) => {
                let points_to = PathBuf::from(String::from_utf8_lossy(points_to).into_owned());
                self.links.lock().unwrap_or_else(PoisonError::into_inner).push((name.to_owned(), points_to));
                Ok(())
            }
            Kind::File if self.without_tablespace_map && *rooted(name) == *TABLESPACE_MAP => Ok(()),
            Kind::File if want.is_some_and(|want| want.kept) => {
                self.account(member.size, true);
                Ok(())
            }
            Kind::File => {
                let mut read = |part: &mut [u8]| {
                    archive
                        .read_content(part)
                        .map_err(|error| from_io(error.into(), |error| Error::damaged(key, error)))
                };
                let incoming = Incoming { name, mode: member.mode, bytes: member.size };
                self.restore_file(level, &incoming, want.is_some_and(|want| want.increment), key, &mut read)
            }
            Kind::HardLink(_) | Kind::Other(_) => {
                tracing::debug!("{key} holds {name}, which is neither file, directory nor link: left out");
                Ok(())
            }
        }
    }

    fn restore_file(
        &self,
        level: &Level,
        incoming: &Incoming<'_>,
        increment: bool,
        key: &str,
        read: &mut impl FnMut(&mut [u8]) -> Result<usize>,
    ) -> Result<()> {
        let checks = Checks::new(level.proofs.is_some());
        let (bytes, checks) = match increment {
            true => patch::apply(self, incoming, key, checks, read)?,
            false => write_whole(self, incoming, checks, read)?,
        };
        if let (Some(proofs), Some(blake3)) = (&level.proofs, checks.blake3()) {
            let path = rooted(incoming.name);
            let differs = |why: String| Error::Differs { path: path.to_string(), key: key.to_owned(), why };
            proofs.check_file(&path, increment, bytes, blake3).map_err(differs)?;
        }
        self.account(bytes, false);
        Ok(())
    }

    fn check_object(&self, level: &Level, name: &str, key: &str, digest: Option<ObjectDigest>) -> Result<()> {
        let Some(proofs) = &level.proofs else { return Ok(()) };
        proofs.check_object(&format!("tar_partitions/{name}"), digest).map_err(|why| Error::damaged(key, why))
    }

    pub fn account(&self, bytes: u64, kept: bool) {
        self.counts.files.fetch_add(1, Ordering::Relaxed);
        self.counts.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.counts.kept.fetch_add(u64::from(kept), Ordering::Relaxed);
    }

    /// After the last object: nothing may be missing; then links, flush, and the marker goes. `record`: the identity of the
    /// restore, to be left in the directory where hashes cannot tell that it is finished.
    pub fn finish(&self, record: Option<&str>) -> Result<Fetched> {
        for level in &self.levels {
            if let Some(missing) = level.wants.iter().find(|(_, want)| !is_seen(&want.seen)).map(|(name, _)| name) {
                let holder = level.proofs.as_ref().and_then(|proofs| {
                    let name = archive_name(proofs.object_name(proofs.files.get(missing)?));
                    Some(layout::part_key(&level.backup, name))
                });
                let why = format!("no archive of {} holds it", level.backup);
                let key = holder.unwrap_or_else(|| layout::files_metadata_key(&level.backup));
                return Err(Error::Differs { path: missing.to_string(), key, why });
            }
        }
        for (name, points_to) in self.links.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            self.target.make_link(name, points_to)?;
        }
        let is_provable = self.levels.len() == 1 && self.levels.iter().all(|level| level.proofs.is_some());
        let record = record.filter(|_| !is_provable);
        self.target.finish(|root| record.map_or(Ok(()), |identity| finished::leave_record(root, identity)))?;
        let Counts { files, bytes, kept } = &self.counts;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let proved = self.levels.iter().all(|level| level.proofs.is_some());
        Ok(Fetched { files: count(files), bytes: count(bytes), kept_files: count(kept), proved })
    }
}

fn is_seen(seen: &AtomicBool) -> bool {
    seen.load(Ordering::Relaxed)
}

/// How an archive is called in the marker. `object` is its key inside the backup's folder.
fn mark_of(backup: &BackupName, object: &str) -> String {
    format!("{backup}/{}", archive_name(object))
}
