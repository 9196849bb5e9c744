//! The workers of a push: each packs files into an archive part of its own and streams it into the storage, or stores a
//! shared file.
//!
//! A file is read once; the same buffer is hashed, framed and compressed. In a delta, files of pages are first scanned for those
//! that changed. A part is closed once its payload exceeds the
//! threshold (WALG_TAR_SIZE_THRESHOLD), so a part holds whole files only.

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use codec::Encoder;
use codec::tar::{ArchiveWriter, Kind, Member};
use formats::increment::PageIncrement;
use formats::{BackupName, layout};
use tokio_util::sync::CancellationToken;

use super::catalog::{Catalog, Packed, PlainContent};
use super::content::Content;
use super::owners::Owners;
use super::queue::Queue;
use super::route::{Route, Routes};
use super::scan;
use super::shared::{Shared, SharedFile};
use super::walk::Entry;
use crate::bridge::{Driver, ObjectDigest, ObjectWriter};
use crate::error::{Error, Result, from_io};
use crate::monitor::Monitor;
use crate::pool::Pool;
use crate::repository::Repository;

/// Bytes read from a file at once: the encoder takes them without a copy, and they stay in the processor's cache while they
/// are hashed, framed and compressed.
const READ_BYTES: usize = 256 << 10;

/// From this size on a file is read ahead by a thread of its own.
const READ_AHEAD_BYTES: u64 = 32 << 20;

/// What the workers of one segment share.
pub struct Packing {
    pub repository: Repository,
    pub driver: Driver,
    pub cancel: CancellationToken,
    pub pool: Pool,
    pub monitor: Monitor,
    pub backup: BackupName,
    pub threshold_bytes: u64,
    pub queue: Queue,
    pub routes: Routes,
    pub shared: Shared,
    pub catalog: Mutex<Catalog>,
    pub next_part: AtomicU32,
    pub uncompressed_bytes: AtomicU64,
    pub compressed_bytes: AtomicU64,
}

impl Packing {
    /// One worker: packs parts until nothing is left.
    pub fn run_worker(&self) -> Result<()> {
        let mut buffer = Vec::new();
        let mut owners = Owners::default();
        loop {
            let permit = self.pool.acquire(&self.cancel)?;
            buffer.resize(READ_BYTES, 0);
            let Some((first, way)) = self.next(false)? else { return Ok(()) };
            let route = match way {
                Way::Pack(route) => route,
                Way::Shared(file) => {
                    self.shared.store(self, &first, &file, &mut buffer)?;
                    continue;
                }
            };
            let number = self.next_part.fetch_add(1, Ordering::Relaxed);
            let mut part =
                Part::create(self, &layout::part_file_name(number, self.repository.compression.extension()))?;
            part.add(first, &route, &mut buffer, &mut owners)?;
            while part.payload_bytes <= self.threshold_bytes {
                let Some((entry, Way::Pack(route))) = self.next(true)? else { break };
                part.add(entry, &route, &mut buffer, &mut owners)?;
            }
            part.close()?;
            drop(permit);
        }
    }

    /// The next entry to store, and how. What the base has is recorded on the way. With a part open shared files are set
    /// aside, and nothing comes once there are many of them, so that the part is closed.
    fn next(&self, part_is_open: bool) -> Result<Option<(Entry, Way<'_>)>> {
        while !(part_is_open && self.queue.much_is_set_aside()) {
            let next = if part_is_open { self.queue.next_to_pack()? } else { self.queue.next()? };
            let Some(entry) = next else { return Ok(None) };
            match self.shared.of(&entry) {
                Some(_) if part_is_open => self.queue.set_aside(entry),
                Some(file) => return Ok(Some((entry, Way::Shared(file)))),
                None => match self.routes.of(&entry) {
                    Route::Unchanged => {
                        let mut catalog = self.catalog.lock().unwrap_or_else(PoisonError::into_inner);
                        catalog.add_unchanged(&entry.name, entry.noted_nanos());
                        drop(catalog);
                        self.monitor.add_done(entry.metadata.len());
                    }
                    // What looks like pages is none.
                    Route::Increment(_) if self.shared.is_without_pages(&entry.name) => {
                        return Ok(Some((entry, Way::Pack(Route::Whole))));
                    }
                    route => return Ok(Some((entry, Way::Pack(route)))),
                },
            }
            if self.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
        }
        Ok(None)
    }
}

/// What becomes of an entry.
enum Way<'a> {
    /// Into a part.
    Pack(Route),
    /// An object of its own, or a reference to one.
    Shared(SharedFile<'a>),
}

/// An archive part that is being written.
pub struct Part<'a> {
    packing: &'a Packing,
    file_name: String,
    archive: ArchiveWriter<Encoder<ObjectWriter>>,
    members: Vec<Packed>,
    pub payload_bytes: u64,
}

impl<'a> Part<'a> {
    pub fn create(packing: &'a Packing, file_name: &str) -> Result<Self> {
        let key = layout::part_key(&packing.backup, file_name);
        let object = ObjectWriter::start(&packing.driver, &packing.cancel, packing.repository.store(), &key)?;
        let encoder = Encoder::new(packing.repository.compression, &packing.repository.cipher, object)
            .map_err(|error| Error::damaged(&key, error))?;
        let archive = ArchiveWriter::new(encoder);
        Ok(Self { packing, file_name: file_name.to_owned(), archive, members: Vec::new(), payload_bytes: 0 })
    }

    /// Packs one entry. A file that vanished since the walk is left out: the log recreates or drops it.
    pub fn add(&mut self, entry: Entry, route: &Route, buffer: &mut [u8], owners: &mut Owners) -> Result<()> {
        if !entry.is_file() {
            let member = member_of(&entry, owners);
            self.archive.append_header_only(&member).map_err(|error| self.broken(error))?;
            let modified_nanos = entry.noted_nanos();
            self.members.push(Packed { name: entry.name, modified_nanos, content: None });
            return Ok(());
        }
        let file = match File::open(&entry.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::file("opening", &entry.path, error)),
        };
        advise_sequential(&file);
        if let Route::Increment(pages) = route {
            let (path, bytes) = (&entry.path, entry.metadata.len());
            if let Some(increment) = scan::changed_pages(&file, path, bytes, pages, &self.packing.pool, buffer)? {
                return self.add_increment(entry, &file, &increment, pages.page_bytes(), buffer, owners);
            }
        }
        self.add_file(entry, file, buffer, owners)
    }

    fn add_increment(
        &mut self,
        entry: Entry,
        file: &File,
        increment: &PageIncrement,
        page_bytes: u32,
        buffer: &mut [u8],
        owners: &mut Owners,
    ) -> Result<()> {
        let bytes = increment.stored_bytes(page_bytes);
        let member = Member { size: bytes, ..member_of(&entry, owners) };
        let Self { packing, archive, file_name, .. } = self;
        let broken = |error: codec::Error| from_io(error.into(), |error| Error::damaged(file_name.as_str(), error));
        archive.begin_file(&member).map_err(broken)?;
        let write = |piece: &[u8]| archive.write_content(piece).map_err(broken);
        let blake3 = scan::write_increment(file, &entry.path, increment, page_bytes, &packing.pool, buffer, write)?;
        archive.end_file().map_err(broken)?;
        packing.monitor.add_done(entry.metadata.len());
        self.payload_bytes += bytes;
        let content = PlainContent { bytes, mode: entry.metadata.mode() & 0o7777, blake3, is_increment: true };
        let modified_nanos = entry.noted_nanos();
        self.members.push(Packed { name: entry.name, modified_nanos, content: Some(content) });
        Ok(())
    }

    /// Stores exactly as many bytes as the walk saw.
    fn add_file(&mut self, entry: Entry, file: File, buffer: &mut [u8], owners: &mut Owners) -> Result<()> {
        let size = entry.metadata.len();
        let member = member_of(&entry, owners);
        let Self { packing, archive, file_name, .. } = self;
        let broken = |error: codec::Error| from_io(error.into(), |error| Error::damaged(file_name.as_str(), error));
        archive.begin_file(&member).map_err(broken)?;
        let write = |piece: &[u8]| {
            archive.write_content(piece).map_err(broken)?;
            packing.monitor.add_done(piece.len() as u64);
            Ok(())
        };
        let content = Content::new(file, &entry.path, size, &packing.pool);
        let blake3 = match size >= READ_AHEAD_BYTES {
            true => content.drain_ahead(buffer.len(), write)?,
            false => content.drain(buffer, write)?,
        };
        archive.end_file().map_err(broken)?;
        self.payload_bytes += size;
        let content = PlainContent { bytes: size, mode: entry.metadata.mode() & 0o7777, blake3, is_increment: false };
        let modified_nanos = entry.noted_nanos();
        self.members.push(Packed { name: entry.name, modified_nanos, content: Some(content) });
        Ok(())
    }

    /// Adds a small file from memory (backup_label, tablespace_map).
    pub fn add_bytes(&mut self, member: &Member, content: &[u8]) -> Result<()> {
        self.archive.begin_file(member).map_err(|error| self.broken(error))?;
        self.archive.write_content(content).map_err(|error| self.broken(error))?;
        self.archive.end_file().map_err(|error| self.broken(error))?;
        self.payload_bytes += content.len() as u64;
        let (bytes, blake3) = (content.len() as u64, *blake3::hash(content).as_bytes());
        let plain = PlainContent { bytes, mode: member.mode, blake3, is_increment: false };
        self.members.push(Packed {
            name: String::from_utf8_lossy(&member.name).into_owned(),
            modified_nanos: 0,
            content: Some(plain),
        });
        Ok(())
    }

    /// Ends the archive, makes the object visible and records it.
    pub fn close(self) -> Result<()> {
        let Closed { digest, members, file_name, payload_bytes, packing } = self.finish()?;
        packing.count(payload_bytes, digest);
        packing.catalog.lock().unwrap_or_else(PoisonError::into_inner).add_part(&file_name, &members, digest)
    }

    /// Like [`close`](Self::close), for the archives that files_metadata.json does not list (pg_control).
    pub fn close_unlisted(self) -> Result<()> {
        let Closed { digest, members, file_name, payload_bytes, packing } = self.finish()?;
        packing.count(payload_bytes, digest);
        packing.catalog.lock().unwrap_or_else(PoisonError::into_inner).add_unlisted_part(&file_name, &members, digest)
    }

    fn finish(self) -> Result<Closed<'a>> {
        let Self { packing, file_name, archive, members, payload_bytes } = self;
        let broken = |error: std::io::Error| from_io(error, |error| Error::damaged(&file_name, error));
        let encoder = archive.finish().map_err(|error| broken(error.into()))?;
        let object = encoder.finish().map_err(|error| broken(error.into()))?;
        let digest = object.finish()?;
        Ok(Closed { packing, file_name, members, payload_bytes, digest })
    }

    fn broken(&self, error: impl Into<std::io::Error>) -> Error {
        from_io(error.into(), |error| Error::damaged(&self.file_name, error))
    }
}

struct Closed<'a> {
    packing: &'a Packing,
    file_name: String,
    members: Vec<Packed>,
    payload_bytes: u64,
    digest: ObjectDigest,
}

impl Packing {
    fn count(&self, payload_bytes: u64, digest: ObjectDigest) {
        self.uncompressed_bytes.fetch_add(payload_bytes, Ordering::Relaxed);
        self.compressed_bytes.fetch_add(digest.bytes, Ordering::Relaxed);
    }
}

fn member_of(entry: &Entry, owners: &mut Owners) -> Member {
    let metadata = &entry.metadata;
    let kind = match &entry.link_target {
        Some(target) => Kind::Symlink(target.as_os_str().as_bytes().to_vec()),
        None if metadata.is_dir() => Kind::Directory,
        None => Kind::File,
    };
    Member {
        name: entry.name.clone().into_bytes(),
        kind,
        size: if metadata.is_file() { metadata.len() } else { 0 },
        mode: metadata.mode() & 0o7777,
        uid: u64::from(metadata.uid()),
        gid: u64::from(metadata.gid()),
        uname: owners.user(metadata.uid()),
        gname: owners.group(metadata.gid()),
        mtime_secs: rounded_seconds(metadata),
    }
}

/// Whole seconds, rounded as Go's archive/tar rounds them.
fn rounded_seconds(metadata: &std::fs::Metadata) -> i64 {
    metadata.mtime() + i64::from(metadata.mtime_nsec() >= 500_000_000)
}

/// Doubles the kernel's read-ahead. Only a hint: a refusal changes nothing.
fn advise_sequential(file: &File) {
    let _ = nix::fcntl::posix_fadvise(file, 0, 0, nix::fcntl::PosixFadviseAdvice::POSIX_FADV_SEQUENTIAL);
}
