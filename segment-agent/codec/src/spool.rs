//! A compressed byte spool in memory, for millions of small fragments that are written once and read back once.

use std::io::{self, Read};
use std::vec::IntoIter;

use crate::Error;

/// Plain bytes that are compressed together. The only uncompressed memory a spool holds.
const CHUNK_BYTES: usize = 512 * 1024;
const ZSTD_LEVEL: i32 = 1;

/// Appended bytes, kept as independent zstd frames of level 1.
#[derive(Default)]
pub struct Spool {
    full: Vec<Chunk>,
    tail: Vec<u8>,
}

struct Chunk {
    plain_bytes: usize,
    /// A zstd frame, or the plain bytes themselves if they did not get smaller.
    stored: Box<[u8]>,
}

impl Spool {
    pub fn new() -> Spool {
        Spool::default()
    }

    /// Adds `bytes` at the end.
    pub fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = bytes.len().min(CHUNK_BYTES - self.tail.len());
            self.tail.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if self.tail.len() == CHUNK_BYTES {
                self.full.push(Chunk::compress(&self.tail));
                self.tail.clear();
            }
        }
    }

    /// Bytes appended so far.
    pub fn len(&self) -> u64 {
        (self.full.len() * CHUNK_BYTES + self.tail.len()) as u64
    }

    /// True if nothing was appended yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory held for the content.
    pub fn memory_bytes(&self) -> usize {
        self.tail.capacity() + self.full.iter().map(|chunk| chunk.stored.len()).sum::<usize>()
    }

    /// Reads everything from the start; memory is given back chunk by chunk.
    pub fn into_reader(self) -> impl Read {
        SpoolReader { full: self.full.into_iter(), tail: Some(self.tail), plain: Vec::new(), taken: 0 }
    }
}

impl Chunk {
    fn compress(plain: &[u8]) -> Chunk {
        let stored = match zstd::bulk::compress(plain, ZSTD_LEVEL) {
            Ok(frame) if frame.len() < plain.len() => frame.into_boxed_slice(),
            _ => plain.into(),
        };
        Chunk { plain_bytes: plain.len(), stored }
    }

    fn decompress(self) -> io::Result<Vec<u8>> {
        if self.stored.len() == self.plain_bytes {
            return Ok(self.stored.into_vec());
        }
        let plain = zstd::bulk::decompress(&self.stored, self.plain_bytes)?;
        if plain.len() != self.plain_bytes {
            return Err(Error::corrupt("spooled data", "a chunk has a wrong size").into());
        }
        Ok(plain)
    }
}

struct SpoolReader {
    full: IntoIter<Chunk>,
    tail: Option<Vec<u8>>,
    plain: Vec<u8>,
    taken: usize,
}

impl Read for SpoolReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.plain.len() {
            self.plain = match self.full.next() {
                Some(chunk) => chunk.decompress()?,
                None => match self.tail.take() {
                    Some(tail) => tail,
                    None => return Ok(0),
                },
            };
            self.taken = 0;
        }
        let read = buf.len().min(self.plain.len() - self.taken);
        buf[..read].copy_from_slice(&self.plain[self.taken..self.taken + read]);
        self.taken += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_come_back_in_order_and_take_little_memory() {
        let mut spool = Spool::new();
        let mut expected = Vec::new();
        for n in 0..60_000u32 {
            let fragment = format!("\"/base/{}/{n}\":{{\"IsIncremented\":false,\"MTime\":\"2026-11-21\"}},", n % 7);
            spool.append(fragment.as_bytes());
            expected.extend_from_slice(fragment.as_bytes());
        }
        spool.append(&[]);
        assert_eq!(spool.len(), expected.len() as u64);
        assert!(spool.memory_bytes() < expected.len() / 4 + CHUNK_BYTES, "{}", spool.memory_bytes());
        let mut read = Vec::new();
        spool.into_reader().read_to_end(&mut read).unwrap();
        assert!(read == expected);
    }

    #[test]
    fn an_empty_spool_and_exact_chunks() {
        assert!(Spool::new().is_empty());
        for size in [0, 1, CHUNK_BYTES, 3 * CHUNK_BYTES, 3 * CHUNK_BYTES + 1] {
            let mut state = 1u32;
            let noise: Vec<u8> = std::iter::repeat_with(|| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .take(size)
            .collect();
            let mut spool = Spool::new();
            spool.append(&noise);
            let mut read = Vec::new();
            spool.into_reader().read_to_end(&mut read).unwrap();
            assert!(read == noise, "{size}");
        }
    }
}
