//! Writing one file as it comes out of the decoder: hashed on the way, and for a large file by a thread of its own.
//!
//! One file of a gigabyte would else keep one core busy with decoding, hashing and writing in turn, long after the others are done.

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::mpsc::{channel, sync_channel};

use super::extract::Extraction;
use crate::error::{Error, Result};

/// Bytes written to a file at once: large extents come from the kernel's delayed allocation, and this much stays in the
/// processor's cache between decoding, hashing and writing.
pub const WRITE_BYTES: usize = 256 << 10;

/// From this size on a file is written by a thread of its own.
const WRITE_BEHIND_BYTES: u64 = 32 << 20;

/// Pieces under way between the two threads.
const PIECES_AHEAD: usize = 3;

/// A file about to be written.
pub struct Incoming<'a> {
    pub name: &'a str,
    pub mode: u32,
    /// As far as it is known.
    pub bytes: u64,
}

/// Hashes of what is written.
#[derive(Default)]
pub struct Checks {
    blake3: Option<blake3::Hasher>,
    sum: Option<Sum>,
}

/// The checksum that WAL-G notes of an append-optimized file: of its first bytes, for it may be longer than its logical end.
struct Sum {
    left: u64,
    hasher: xxhash_rust::xxh3::Xxh3,
    expected: String,
}

impl Checks {
    pub fn new(with_blake3: bool) -> Self {
        Self { blake3: with_blake3.then(blake3::Hasher::new), sum: None }
    }

    /// XXH3-128 of the first `bytes`; without an `expected` value only their number counts.
    pub fn with_sum(self, bytes: u64, expected: &str) -> Self {
        let sum = Sum { left: bytes, hasher: xxhash_rust::xxh3::Xxh3::new(), expected: expected.to_owned() };
        Self { sum: Some(sum), ..self }
    }

    pub fn update(&mut self, content: &[u8]) {
        if let Some(hasher) = &mut self.blake3 {
            hasher.update(content);
        }
        if let Some(sum) = &mut self.sum {
            let count = usize::try_from(sum.left).unwrap_or(usize::MAX).min(content.len());
            if !sum.expected.is_empty() {
                sum.hasher.update(&content[..count]);
            }
            sum.left -= count as u64;
        }
    }

    pub fn blake3(&self) -> Option<[u8; 32]> {
        self.blake3.as_ref().map(|hasher| *hasher.finalize().as_bytes())
    }

    pub fn check_sum(self) -> Result<(), String> {
        let Some(sum) = self.sum else { return Ok(()) };
        if sum.left > 0 {
            return Err(format!("{} bytes are missing before the logical end of the file", sum.left));
        }
        let found = format!("{:032x}", sum.hasher.digest128());
        if sum.expected.is_empty() || found == sum.expected {
            return Ok(());
        }
        Err(format!("its checksum is {found} instead of {}", sum.expected))
    }
}

/// Creates the file (or empties it) and writes all that `read` gives. Returns its bytes and their hashes.
pub fn write_whole(
    extraction: &Extraction,
    incoming: &Incoming<'_>,
    checks: Checks,
    read: &mut impl FnMut(&mut [u8]) -> Result<usize>,
) -> Result<(u64, Checks)> {
    let (file, path) = extraction.target.create_file(incoming.name)?;
    let sink = Sink { extraction, file, path, checks, bytes: 0, handed_over: 0 };
    let sink = if incoming.bytes >= WRITE_BEHIND_BYTES { sink.drain_behind(read)? } else { sink.drain(read)? };
    extraction.target.seal(&sink.file, &sink.path, incoming.mode)?;
    Ok((sink.bytes, sink.checks))
}

struct Sink<'a> {
    extraction: &'a Extraction,
    file: File,
    path: PathBuf,
    checks: Checks,
    bytes: u64,
    handed_over: u64,
}

impl Sink<'_> {
    fn take(&mut self, piece: &[u8]) -> Result<()> {
        self.checks.update(piece);
        self.file.write_all(piece).map_err(|error| Error::file("writing", &self.path, error))?;
        self.bytes += piece.len() as u64;
        self.handed_over = self.extraction.target.begin_writing(&self.file, self.handed_over, self.bytes);
        self.extraction.monitor.add_done(piece.len() as u64);
        Ok(())
    }

    fn drain(mut self, read: &mut impl FnMut(&mut [u8]) -> Result<usize>) -> Result<Self> {
        let mut buffer = vec![0; WRITE_BYTES];
        loop {
            match fill(&mut buffer, read)? {
                0 => return Ok(self),
                count => self.take(&buffer[..count])?,
            }
        }
    }

    /// Decodes on this thread, hashes and writes on another, a few pieces behind.
    fn drain_behind(self, read: &mut impl FnMut(&mut [u8]) -> Result<usize>) -> Result<Self> {
        std::thread::scope(|scope| {
            let (to_fill, empty) = channel::<Vec<u8>>();
            let (filled, to_write) = sync_channel::<(Vec<u8>, usize)>(PIECES_AHEAD);
            for _ in 0..PIECES_AHEAD {
                let _ = to_fill.send(vec![0; WRITE_BYTES]);
            }
            let writer = scope.spawn(move || {
                let mut sink = self;
                while let Ok((buffer, count)) = to_write.recv() {
                    sink.take(&buffer[..count])?;
                    let _ = to_fill.send(buffer);
                }
                Ok(sink)
            });
            let mut decoded = Ok(());
            // The other side hangs up when writing failed.
            while let Ok(mut buffer) = empty.recv() {
                match fill(&mut buffer, read) {
                    Ok(0) => break,
                    Ok(count) if filled.send((buffer, count)).is_err() => break,
                    Ok(_) => {}
                    Err(error) => {
                        decoded = Err(error);
                        break;
                    }
                }
            }
            drop((filled, empty));
            let written = writer.join().unwrap_or_else(|_| Err(writer_died()));
            decoded.and(written)
        })
    }
}

fn writer_died() -> Error {
    Error::refused("a writing thread ended unexpectedly", "this is a defect of the program; please report it")
}

/// What is read, as `Read`; an error of ours travels inside the I/O error.
pub struct Content<F>(pub F);

impl<F: FnMut(&mut [u8]) -> Result<usize>> Read for Content<F> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        (self.0)(buffer).map_err(std::io::Error::other)
    }
}

/// Reads until `buffer` is full or the content ends.
pub fn fill(buffer: &mut [u8], read: &mut impl FnMut(&mut [u8]) -> Result<usize>) -> Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read(&mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}
