//! The workers of a restore: each takes an object, decodes it and writes its files.
//!
//! Bytes are proved on their way: every object against its hash, every file against its own. The first difference ends the
//! restore. Without a manifest, checksums of the codec, the cipher and of append-optimized files are what there is.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use codec::tar::{ArchiveReader, Kind, Member};
use codec::{Codec, Decoder};
use tokio_util::sync::CancellationToken;

use super::Fetched;
use super::proofs::{FileProof, Proofs, TABLESPACE_MAP, rooted};
use super::target::Target;
use crate::bridge::{Driver, ObjectDigest, ObjectSource};
use crate::error::{Error, Result, from_io};
use crate::monitor::Monitor;
use crate::pool::Pool;
use crate::repository::Repository;

/// Bytes written to a file at once: large extents come from the kernel's delayed allocation, and this much stays in the
/// processor's cache between decoding, hashing and writing.
const WRITE_BYTES: usize = 256 << 10;

/// One object to read.
#[derive(Clone, Debug)]
pub enum Job {
    /// An archive in tar_partitions, by file name.
    Archive { key: String, name: String },
    /// An object that is one file, not compressed. `ao_sum`: XXH3-128 (hex) of so many first bytes.
    Plain { key: String, path: String, mode: u32, ao_sum: Option<(u64, String)> },
}

pub struct Extraction {
    repository: Repository,
    pub target: Target,
    proofs: Option<Proofs>,
    without_tablespace_map: bool,
    driver: Driver,
    pub cancel: CancellationToken,
    pub monitor: Monitor,
    /// Files that are there already and proved, by path with a leading slash.
    kept: HashSet<Box<str>>,
    /// Archives that need not be read again: unpacked to their end by an earlier run, and every file of them is kept.
    kept_archives: HashSet<String>,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    fetched: Fetched,
    seen: HashSet<Box<str>>,
    links: Vec<(String, PathBuf)>,
}

impl Progress {
    fn count(&mut self, name: Box<str>, bytes: u64, kept: bool) {
        self.fetched.files += 1;
        self.fetched.bytes += bytes;
        self.fetched.kept_files += u64::from(kept);
        self.seen.insert(name);
    }
}

impl Extraction {
    pub fn new(
        repository: &Repository,
        target: Target,
        proofs: Option<Proofs>,
        without_tablespace_map: bool,
        driver: Driver,
        cancel: &CancellationToken,
        monitor: &Monitor,
    ) -> Self {
        Self {
            repository: repository.clone(),
            target,
            proofs,
            without_tablespace_map,
            driver,
            cancel: cancel.child_token(),
            monitor: monitor.clone(),
            kept: HashSet::new(),
            kept_archives: HashSet::new(),
            progress: Mutex::default(),
        }
    }

    /// Hashes what an earlier run left and keeps what is right.
    pub fn recognise_finished_files(&mut self) -> Result<()> {
        let Some(proofs) = &self.proofs else { return Ok(()) };
        let mut buffer = vec![0; WRITE_BYTES];
        for (name, proof) in &proofs.files {
            if self.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            if is_restored(&self.target.resolve(name)?, proof, &mut buffer) {
                self.kept.insert(name.clone());
            }
        }
        let mut archives = self.target.finished_by_earlier_run();
        for (name, proof) in &proofs.files {
            if !self.kept.contains(name) {
                archives.remove(proofs.object_name(proof));
            }
        }
        for (name, proof) in proofs.files.iter().filter(|(_, proof)| archives.contains(proofs.object_name(proof))) {
            let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
            progress.count(name.clone(), proof.bytes, true);
        }
        self.kept_archives = archives;
        Ok(())
    }

    /// One worker.
    pub fn run_worker(&self, jobs: &Mutex<VecDeque<Job>>, pool: &Pool) -> Result<()> {
        loop {
            let _permit = pool.acquire(&self.cancel)?;
            let Some(job) = jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front() else { return Ok(()) };
            match &job {
                Job::Archive { key, name } => self.unpack(key, name)?,
                Job::Plain { key, path, mode, ao_sum } => self.copy(key, path, *mode, ao_sum.as_ref())?,
            }
        }
    }

    fn unpack(&self, key: &str, name: &str) -> Result<()> {
        if self.kept_archives.contains(name) {
            return Ok(());
        }
        let (_, codec) = Codec::from_file_name(name);
        let source = ObjectSource::open(&self.driver, &self.cancel, self.repository.store(), key)?;
        let digest = source.whole();
        let damaged = |error: codec::Error| from_io(error.into(), |error| Error::damaged(key, error));
        let decoder = Decoder::new(codec, &self.repository.cipher, source).map_err(damaged)?;
        let mut archive = ArchiveReader::new(decoder);
        let mut buffer = vec![0; WRITE_BYTES];
        let mut has_links = false;
        while let Some(member) = archive.next_member().map_err(damaged)? {
            has_links |= matches!(member.kind, Kind::Symlink(_));
            self.restore_member(&member, key, &mut archive, &mut buffer)?;
        }
        self.check_object(name, key, digest.get().copied())?;
        // Links are made at the very end, so a run that goes on after an interruption must read them again.
        if has_links { Ok(()) } else { self.target.note_finished(name) }
    }

    fn restore_member<R: Read>(
        &self,
        member: &Member,
        key: &str,
        archive: &mut ArchiveReader<R>,
        buffer: &mut [u8],
    ) -> Result<()> {
        let name = member.name_str().map_err(|error| Error::damaged(key, error))?;
        match &member.kind {
            Kind::Directory => self.target.make_directory(name, member.mode),
            Kind::Symlink(points_to) => {
                let points_to = PathBuf::from(String::from_utf8_lossy(points_to).into_owned());
                self.lock().links.push((name.to_owned(), points_to));
                Ok(())
            }
            Kind::File if self.without_tablespace_map && *rooted(name) == *TABLESPACE_MAP => {
                self.lock().seen.insert(rooted(name));
                Ok(())
            }
            Kind::File if self.kept.contains(&rooted(name)) => {
                self.account(rooted(name), member.size, true);
                Ok(())
            }
            Kind::File => self.restore_file(key, name, member.mode, buffer, None, |part| {
                archive.read_content(part).map_err(|error| from_io(error.into(), |error| Error::damaged(key, error)))
            }),
            Kind::HardLink(_) | Kind::Other(_) => {
                tracing::debug!("{key} holds {name}, which is neither file, directory nor link: left out");
                Ok(())
            }
        }
    }

    /// Restores a file that is an object of its own.
    fn copy(&self, key: &str, path: &str, mode: u32, ao_sum: Option<&(u64, String)>) -> Result<()> {
        let source = ObjectSource::open(&self.driver, &self.cancel, self.repository.store(), key)?;
        let damaged = |error: std::io::Error| from_io(error, |error| Error::damaged(key, error));
        let mut decoder =
            Decoder::new(Codec::None, &self.repository.cipher, source).map_err(|error| damaged(error.into()))?;
        let mut buffer = vec![0; WRITE_BYTES];
        let mut sum = ao_sum.map(|(bytes, expected)| AoSum::new(*bytes, expected));
        self.restore_file(key, path, mode, &mut buffer, sum.as_mut(), |part| decoder.read(part).map_err(damaged))?;
        match sum {
            Some(sum) => sum.check().map_err(|why| Error::damaged(key, why)),
            None => Ok(()),
        }
    }

    fn restore_file(
        &self,
        key: &str,
        name: &str,
        mode: u32,
        buffer: &mut [u8],
        mut ao_sum: Option<&mut AoSum>,
        mut read: impl FnMut(&mut [u8]) -> Result<usize>,
    ) -> Result<()> {
        let (mut file, path) = self.target.create_file(name)?;
        let mut hasher = self.proofs.is_some().then(blake3::Hasher::new);
        let (mut bytes, mut handed_over) = (0, 0);
        loop {
            let filled = fill(buffer, &mut read)?;
            if filled == 0 {
                break;
            }
            let content = &buffer[..filled];
            if let Some(hasher) = hasher.as_mut() {
                hasher.update(content);
            }
            if let Some(sum) = ao_sum.as_deref_mut() {
                sum.update(content);
            }
            file.write_all(content).map_err(|error| Error::file("writing", &path, error))?;
            bytes += filled as u64;
            handed_over = self.target.begin_writing(&file, handed_over, bytes);
            self.monitor.add_done(filled as u64);
        }
        self.target.seal(&file, &path, mode)?;
        let name = rooted(name);
        if let Some(hasher) = hasher {
            self.check_file(key, &name, bytes, *hasher.finalize().as_bytes())?;
        }
        self.account(name, bytes, false);
        Ok(())
    }

    fn check_file(&self, key: &str, name: &str, bytes: u64, blake3: [u8; 32]) -> Result<()> {
        let Some(proofs) = &self.proofs else { return Ok(()) };
        let differs = |why: String| Err(Error::Differs { path: name.to_owned(), key: key.to_owned(), why });
        match proofs.files.get(name) {
            None => differs("the manifest does not know it".to_owned()),
            Some(proof) if proof.bytes != bytes => differs(format!("it has {bytes} bytes instead of {}", proof.bytes)),
            Some(proof) if proof.blake3 != blake3 => differs("its content has another hash".to_owned()),
            Some(_) => Ok(()),
        }
    }

    fn check_object(&self, name: &str, key: &str, digest: Option<ObjectDigest>) -> Result<()> {
        let Some(proofs) = &self.proofs else { return Ok(()) };
        proofs.check_object(&format!("tar_partitions/{name}"), digest).map_err(|why| Error::damaged(key, why))
    }

    fn account(&self, name: Box<str>, bytes: u64, kept: bool) {
        self.lock().count(name, bytes, kept);
    }

    /// After the last object: nothing may be missing; then links, flush, and the marker goes.
    pub fn finish(&self) -> Result<Fetched> {
        let progress = self.lock();
        if let Some(proofs) = &self.proofs
            && let Some((missing, proof)) = proofs.files.iter().find(|(name, _)| !progress.seen.contains(*name))
        {
            let (path, key) = (missing.to_string(), proofs.object_name(proof).to_owned());
            return Err(Error::Differs { path, key, why: "no archive of the backup holds it".to_owned() });
        }
        for (name, points_to) in &progress.links {
            self.target.make_link(name, points_to)?;
        }
        self.target.finish()?;
        Ok(Fetched { proved: self.proofs.is_some(), ..progress.fetched })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The checksum that WAL-G notes of an append-optimized file: of its first bytes, for it may be longer than its logical end.
struct AoSum {
    left: u64,
    hasher: xxhash_rust::xxh3::Xxh3,
    expected: String,
}

impl AoSum {
    fn new(bytes: u64, expected: &str) -> Self {
        Self { left: bytes, hasher: xxhash_rust::xxh3::Xxh3::new(), expected: expected.to_owned() }
    }

    fn update(&mut self, content: &[u8]) {
        let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(content.len());
        self.hasher.update(&content[..count]);
        self.left -= count as u64;
    }

    fn check(self) -> Result<(), String> {
        if self.left > 0 {
            return Err(format!("{} bytes are missing before the logical end of the file", self.left));
        }
        let found = format!("{:032x}", self.hasher.digest128());
        if found == self.expected {
            Ok(())
        } else {
            Err(format!("its checksum is {found} instead of {}", self.expected))
        }
    }
}

/// Reads until `buffer` is full or the content ends.
fn fill(buffer: &mut [u8], read: &mut impl FnMut(&mut [u8]) -> Result<usize>) -> Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read(&mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

/// Whether the file at `path` is what the manifest promises. Whatever cannot be read is not.
pub fn is_restored(path: &Path, proof: &FileProof, buffer: &mut [u8]) -> bool {
    if !has_size_and_mode(path, proof) {
        return false;
    }
    let Ok(mut file) = File::open(path) else { return false };
    let mut hasher = blake3::Hasher::new();
    loop {
        match file.read(buffer) {
            Ok(0) => return *hasher.finalize().as_bytes() == proof.blake3,
            Ok(count) => hasher.update(&buffer[..count]),
            Err(_) => return false,
        };
    }
}

/// The mode counts: an interruption between the last byte of a file and its mode leaves the mode wrong.
pub fn has_size_and_mode(path: &Path, proof: &FileProof) -> bool {
    std::fs::symlink_metadata(path)
        .is_ok_and(|is| is.is_file() && is.len() == proof.bytes && is.permissions().mode() & 0o7777 == proof.mode)
}
