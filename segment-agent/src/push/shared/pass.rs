//! The passes over one shared file: its beginning is hashed; if that is what is stored already, the same pass goes on into
//! the upload of what follows; if not, a second one stores the whole file.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::sync::PoisonError;

use codec::{Compression, Encoder};
use formats::ContentHash;

use super::Made;
use super::decision::{Plan, Then};
use super::sums::{Prover, Sums};
use crate::bridge::ObjectWriter;
use crate::error::{Error, Result, from_io};
use crate::push::part::Packing;

/// Begins an increment of an append-optimized file; two numbers follow, the new length and the offset.
const INCREMENT_MAGIC: [u8; 4] = *b"wi1V";

/// One file that is being read and stored.
pub struct Job<'a> {
    pub packing: &'a Packing,
    pub made: &'a Made,
    pub path: &'a Path,
    pub file: File,
    pub bytes: u64,
    pub eof: u64,
    /// Keys in the storage, for a whole file and for an increment.
    pub regular_key: String,
    pub increment_key: String,
    /// So many bytes were reported as done; a second pass does not count.
    pub counted: u64,
}

/// What became of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Regular,
    Increment,
    Reused,
}

/// A file whose bytes were read to the end.
pub struct Done {
    pub how: How,
    pub blake3: ContentHash,
    pub checksum: String,
}

impl Job<'_> {
    /// Carries out `plan`; nothing if the file has become shorter meanwhile.
    pub fn run(&mut self, plan: &Plan, buffer: &mut [u8]) -> Result<Option<Done>> {
        let Plan::Prove { bytes, proof, then } = plan else { return self.upload_whole(buffer) };
        let mut sums = Sums::new(self.eof);
        let mut prover = Prover::new(proof, *bytes);
        let read = self.read(*bytes, buffer, |piece| {
            sums.update(piece);
            prover.update(piece);
            Ok(())
        });
        if !read? {
            return Ok(None);
        }
        match (prover.holds(proof, &sums), then) {
            (false, _) => self.upload_whole(buffer),
            (true, Then::Reuse) => Ok(Some(Done::new(How::Reused, &sums))),
            (true, Then::Increment) => {
                let header = increment_header(self.bytes, *bytes);
                let key = self.increment_key.clone();
                self.upload(&key, &header, sums, How::Increment, buffer)
            }
        }
    }

    fn upload_whole(&mut self, buffer: &mut [u8]) -> Result<Option<Done>> {
        self.file.rewind().map_err(|error| Error::file("reading", self.path, error))?;
        let key = self.regular_key.clone();
        self.upload(&key, &[], Sums::new(self.eof), How::Regular, buffer)
    }

    /// Stores `header` and the bytes that `sums` has not seen yet.
    fn upload(
        &mut self,
        key: &str,
        header: &[u8],
        mut sums: Sums,
        how: How,
        buffer: &mut [u8],
    ) -> Result<Option<Done>> {
        let packing = self.packing;
        let broken = |error: codec::Error| from_io(error.into(), |error| Error::damaged(key, error));
        self.made.lock().unwrap_or_else(PoisonError::into_inner).push(key.to_owned());
        let object = ObjectWriter::start(&packing.driver, &packing.cancel, packing.repository.store(), key)?;
        let mut out = Encoder::new(Compression::None, &packing.repository.cipher, object).map_err(broken)?;
        out.write_all(header).map_err(|error| broken(error.into()))?;
        let whole = self.read(self.bytes - sums.bytes(), buffer, |piece| {
            sums.update(piece);
            out.write_all(piece).map_err(|error| broken(error.into()))
        })?;
        if !whole {
            return Ok(None);
        }
        out.finish().map_err(broken)?.finish()?;
        Ok(Some(Done::new(how, &sums)))
    }

    /// Hands over the next so many bytes; false if the file ends before.
    fn read(&mut self, bytes: u64, buffer: &mut [u8], mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<bool> {
        let mut left = bytes;
        while left > 0 {
            if self.packing.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let piece = &mut buffer[..want];
            let got = match self.file.read(piece) {
                Ok(0) => return Ok(false),
                Ok(got) => got,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::file("reading", self.path, error)),
            };
            self.packing.pool.pace_disk(got as u64);
            take(&piece[..got])?;
            left -= got as u64;
            self.count()?;
        }
        Ok(true)
    }

    /// Reports progress up to where the file was read.
    fn count(&mut self) -> Result<()> {
        let at = self.file.stream_position().map_err(|error| Error::file("reading", self.path, error))?;
        if at > self.counted {
            self.packing.monitor.add_done(at - self.counted);
            self.counted = at;
        }
        Ok(())
    }
}

impl Done {
    fn new(how: How, sums: &Sums) -> Self {
        Self { how, blake3: sums.blake3(), checksum: sums.checksum() }
    }
}

fn increment_header(new_bytes: u64, offset: u64) -> Vec<u8> {
    [INCREMENT_MAGIC.as_slice(), &new_bytes.to_le_bytes(), &offset.to_le_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header() {
        assert_eq!(hex::encode(increment_header(258, 3)), "77693156020100000000000003".to_owned() + "00000000000000");
    }
}
