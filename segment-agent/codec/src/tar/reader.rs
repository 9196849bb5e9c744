//! Reads an archive, member by member.

use std::io::Read;

use super::Member;
use crate::Error;

/// Reads members from `R`.
pub struct ArchiveReader<R: Read> {
    _inner: R,
}

impl<R: Read> ArchiveReader<R> {
    pub fn new(inner: R) -> ArchiveReader<R> {
        ArchiveReader { _inner: inner }
    }

    /// The next member, after skipping what is left of the current one. `None` only after the archive's end and after
    /// the underlying reader was read to its end.
    pub fn next_member(&mut self) -> Result<Option<Member>, Error> {
        Ok(None)
    }

    /// Content of the current member; 0 at its end (for a non-empty `buf`).
    pub fn read_content(&mut self, _buf: &mut [u8]) -> Result<usize, Error> {
        Ok(0)
    }

    /// True once the end-of-archive mark was seen; remote parts and pg_control archives of WAL-G have none.
    pub fn has_trailer(&self) -> bool {
        false
    }
}
