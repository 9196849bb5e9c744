//! Files that are objects of their own in `aosegments` and `paxfiles`, shared by the backups of a segment: neither compressed
//! nor in an archive.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use codec::{Codec, Decoder};
use formats::ao::AoFile;
use formats::increment::{IncrementError, TailIncrement};
use formats::layout;
use formats::pax::PaxFile;

use super::extract::Extraction;
use super::plan::SharedWant;
use super::write::{Checks, Content, Incoming, WRITE_BYTES, fill, write_whole};
use crate::bridge::ObjectSource;
use crate::error::{Error, Result, from_io};

/// One such file as the metadata of a backup describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shared {
    pub key: String,
    pub mode: u32,
    /// The object was there from an older backup.
    pub reused: bool,
    /// The object holds only the end of the file.
    pub increment: bool,
    /// Logical length of the file, which may be longer; 0 where it is unknown.
    pub eof: u64,
    /// XXH3-128 (hexadecimal) of the first `eof` bytes; empty where it is unknown.
    pub checksum: String,
    /// Of the whole restored file.
    pub size: Option<u64>,
    pub blake3: Option<[u8; 32]>,
}

impl From<AoFile> for Shared {
    fn from(file: AoFile) -> Self {
        Self {
            key: layout::aosegment_key(&file.storage_path),
            mode: file.file_mode,
            reused: file.is_skipped,
            increment: file.is_incremented,
            eof: u64::try_from(file.eof).unwrap_or(0),
            checksum: file.checksum,
            size: file.size,
            blake3: file.blake3.map(|hash| hash.0),
        }
    }
}

impl From<PaxFile> for Shared {
    fn from(file: PaxFile) -> Self {
        Self {
            key: layout::paxfile_key(&file.storage_path),
            mode: file.file_mode,
            reused: file.is_skipped,
            size: file.size,
            blake3: file.blake3.map(|hash| hash.0),
            ..Self::default()
        }
    }
}

impl Shared {
    fn checks(&self) -> Checks {
        Checks::new(self.blake3.is_some()).with_sum(self.eof, &self.checksum)
    }

    /// Whether what was restored is what the metadata promises.
    fn check(&self, bytes: u64, checks: Checks) -> Result<(), String> {
        if let Some(size) = self.size.filter(|size| *size != bytes) {
            return Err(format!("the file has {bytes} bytes instead of {size}"));
        }
        if let (Some(expected), Some(found)) = (self.blake3, checks.blake3())
            && expected != found
        {
            return Err("the content of the file has another hash than its metadata says".to_owned());
        }
        checks.check_sum()
    }
}

/// Restores the file, or puts the increment on it.
pub fn restore(extraction: &Extraction, want: &SharedWant) -> Result<()> {
    let SharedWant { path, shared, last } = want;
    let key = &shared.key;
    let store = extraction.repository.store();
    let source = ObjectSource::open(&extraction.driver, &extraction.cancel, store, key)?;
    let damaged = |error: std::io::Error| from_io(error, |error| Error::damaged(key, error));
    let mut decoder =
        Decoder::new(Codec::None, &extraction.repository.cipher, source).map_err(|error| damaged(error.into()))?;
    let mut read = |part: &mut [u8]| decoder.read(part).map_err(damaged);
    let bytes = if shared.increment {
        append(extraction, path, shared, &mut read)?
    } else {
        let incoming = Incoming { name: path, mode: shared.mode, bytes: shared.size.unwrap_or(shared.eof) };
        let (bytes, checks) = write_whole(extraction, &incoming, shared.checks(), &mut read)?;
        shared.check(bytes, checks).map_err(|why| Error::damaged(key, format!("{path}: {why}")))?;
        bytes
    };
    if shared.increment && *last {
        let place = extraction.target.resolve(path)?;
        let (bytes, checks) = hash_again(&place, shared.checks())?;
        shared.check(bytes, checks).map_err(|why| Error::damaged(key, format!("{path}: {why}")))?;
    }
    extraction.account(bytes, false);
    Ok(())
}

/// Writes the end of a file that a lower level restored. Returns the bytes written.
fn append(
    extraction: &Extraction,
    path: &str,
    shared: &Shared,
    read: &mut impl FnMut(&mut [u8]) -> Result<usize>,
) -> Result<u64> {
    let damaged = |why: String| Error::damaged(&shared.key, format!("increment of {path}: {why}"));
    let head = TailIncrement::read(&mut Content(&mut *read), None).map_err(|error| match error {
        IncrementError::Read(error) => from_io(error, |error| damaged(error.to_string())),
        other => damaged(other.to_string()),
    })?;
    let TailIncrement { end, offset } = head;
    let expected = shared.size.unwrap_or(shared.eof);
    if end != expected {
        return Err(damaged(format!("it makes a file of {end} bytes instead of {expected}")));
    }
    let file = extraction.target.open_file(path)?;
    let length = file.length().map_err(|error| Error::file("reading", &file.path, error))?;
    if length < offset {
        return Err(damaged(format!("it begins at byte {offset}, but the file below it has {length} bytes")));
    }
    file.resize(end)?;
    let (mut at, mut buffer) = (offset, vec![0; WRITE_BYTES]);
    loop {
        let count = fill(&mut buffer, read)?;
        if count == 0 {
            break;
        }
        if at + count as u64 > end {
            return Err(damaged(format!("it holds more than the {} bytes that it promises", end - offset)));
        }
        file.write_at(&buffer[..count], at)?;
        at += count as u64;
        extraction.monitor.add_done(count as u64);
    }
    if at != end {
        return Err(damaged(format!("{} of its bytes are missing", end - at)));
    }
    file.seal(shared.mode)?;
    Ok(end - offset)
}

/// The whole file once more, after its last increment.
fn hash_again(path: &Path, mut checks: Checks) -> Result<(u64, Checks)> {
    let fail = |error| Error::file("reading", path, error);
    let mut file = File::open(path).map_err(fail)?;
    let (mut bytes, mut buffer) = (0, vec![0; WRITE_BYTES]);
    loop {
        match file.read(&mut buffer).map_err(fail)? {
            0 => return Ok((bytes, checks)),
            count => {
                checks.update(&buffer[..count]);
                bytes += count as u64;
            }
        }
    }
}
