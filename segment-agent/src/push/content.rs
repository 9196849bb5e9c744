//! The content of one file on its way into a part: read once, hashed, always as long as the walk said.
//!
//! A large file is read and hashed by a thread of its own, a few pieces ahead of the one that compresses: a file of a gigabyte
//! would else keep one core busy long after the others are done.

use std::fs::File;
use std::path::Path;
use std::sync::mpsc::{channel, sync_channel};

use crate::bridge::read_full;
use crate::error::{Error, Result};
use crate::pool::Pool;

/// Pieces under way between the two threads.
const PIECES_AHEAD: usize = 3;

/// Reads exactly `size` bytes. A file that shrank is filled with zeros, one that grew is cut: replay of the log repairs both.
pub struct Content<'a> {
    file: File,
    path: &'a Path,
    left: u64,
    pool: &'a Pool,
    hasher: blake3::Hasher,
}

impl<'a> Content<'a> {
    pub fn new(file: File, path: &'a Path, size: u64, pool: &'a Pool) -> Self {
        Self { file, path, left: size, pool, hasher: blake3::Hasher::new() }
    }

    /// Fills the front of `buffer` with the next piece; 0 after the last one.
    fn next(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let piece = &mut buffer[..want];
        let got = read_full(&mut self.file, piece).map_err(|error| Error::file("reading", self.path, error))?;
        piece[got..].fill(0);
        self.pool.pace_disk(got as u64);
        self.hasher.update(piece);
        self.left -= want as u64;
        Ok(want)
    }

    fn hash(&self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }

    /// Hands every piece to `write`, on this thread; returns the BLAKE3 of them all.
    pub fn drain(mut self, buffer: &mut [u8], mut write: impl FnMut(&[u8]) -> Result<()>) -> Result<[u8; 32]> {
        loop {
            match self.next(buffer)? {
                0 => return Ok(self.hash()),
                count => write(&buffer[..count])?,
            }
        }
    }

    /// Like [`drain`](Self::drain), with the reading done by another thread. Pieces have `piece_bytes` at most.
    pub fn drain_ahead(self, piece_bytes: usize, mut write: impl FnMut(&[u8]) -> Result<()>) -> Result<[u8; 32]> {
        std::thread::scope(|scope| {
            let (to_fill, empty) = channel::<Vec<u8>>();
            let (filled, to_write) = sync_channel::<(Vec<u8>, usize)>(PIECES_AHEAD);
            let reader = scope.spawn(move || {
                let mut content = self;
                // The other side hangs up when writing failed.
                while let Ok(mut buffer) = empty.recv() {
                    match content.next(&mut buffer)? {
                        0 => break,
                        count if filled.send((buffer, count)).is_err() => break,
                        _ => {}
                    }
                }
                Ok(content.hash())
            });
            for _ in 0..PIECES_AHEAD {
                let _ = to_fill.send(vec![0; piece_bytes]);
            }
            let mut written = Ok(());
            while let Ok((buffer, count)) = to_write.recv() {
                written = write(&buffer[..count]);
                if written.is_err() {
                    break;
                }
                let _ = to_fill.send(buffer);
            }
            drop((to_fill, to_write));
            let read = reader.join().unwrap_or_else(|_| Err(reader_died()));
            written.and(read)
        })
    }
}

fn reader_died() -> Error {
    Error::refused("a reading thread ended unexpectedly", "this is a defect of the program; please report it")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out for a file of `is` bytes that had `was` bytes when it was walked, read in both ways.
    fn both_ways(is: usize, was: u64) -> Vec<u8> {
        let bytes: Vec<u8> = (0..is).map(|n| (n % 251) as u8).collect();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, &bytes).unwrap();
        let pool = Pool::with_workers(1);
        let content = || Content::new(File::open(&path).unwrap(), &path, was, &pool);
        let (mut plain, mut ahead) = (Vec::new(), Vec::new());
        let hash = content()
            .drain(&mut [0; 1000], |piece| {
                plain.extend(piece);
                Ok(())
            })
            .unwrap();
        let same = content()
            .drain_ahead(1000, |piece| {
                ahead.extend(piece);
                Ok(())
            })
            .unwrap();
        assert_eq!((&plain, hash), (&ahead, same));
        assert_eq!(hash, *blake3::hash(&plain).as_bytes());
        plain
    }

    #[test]
    fn the_length_is_that_of_the_walk() {
        assert_eq!(both_ways(12_345, 12_345).len(), 12_345);
        assert_eq!(both_ways(12_345, 5_000).len(), 5_000);
        let grown = both_ways(2_500, 7_777);
        assert!(grown.len() == 7_777 && grown[2_500..].iter().all(|byte| *byte == 0));
        assert!(both_ways(0, 0).is_empty());
    }

    #[test]
    fn a_failed_write_ends_the_reading() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, vec![1; 100_000]).unwrap();
        let pool = Pool::with_workers(1);
        let content = Content::new(File::open(&path).unwrap(), &path, 100_000, &pool);
        assert!(matches!(content.drain_ahead(1000, |_| Err(Error::Cancelled)), Err(Error::Cancelled)));
    }
}
