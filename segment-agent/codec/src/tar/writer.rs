//! Writes an archive, member by member.

use std::io::Write;

use super::header::encode;
use super::{BLOCK_BYTES, Kind, Member, padding};
use crate::Error;

static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// Writes members to `W`. Content slices are handed on as they are.
pub struct ArchiveWriter<W: Write> {
    inner: W,
    open: Option<OpenFile>,
}

struct OpenFile {
    name: String,
    size: u64,
    room: u64,
}

impl<W: Write> ArchiveWriter<W> {
    pub fn new(inner: W) -> ArchiveWriter<W> {
        ArchiveWriter { inner, open: None }
    }

    /// Writes a member without content: a directory, link, fifo, or an empty file.
    pub fn append_header_only(&mut self, member: &Member) -> Result<(), Error> {
        self.refuse_open_file()?;
        if member.size != 0 {
            return Err(Error::Misuse { what: "the archive", why: "a member with content needs begin_file" });
        }
        self.inner.write_all(&encode(member)?)?;
        Ok(())
    }

    /// Writes the header of a file; exactly `member.size` bytes follow, whatever `write_content` gets.
    pub fn begin_file(&mut self, member: &Member) -> Result<(), Error> {
        self.refuse_open_file()?;
        if member.kind != Kind::File {
            return Err(Error::Misuse { what: "the archive", why: "only files have content" });
        }
        self.inner.write_all(&encode(member)?)?;
        self.open = Some(OpenFile { name: member.name_lossy(), size: member.size, room: member.size });
        Ok(())
    }

    /// Writes content of the open file. More than the header announced is refused, and nothing of it is written.
    pub fn write_content(&mut self, content: &[u8]) -> Result<(), Error> {
        let Some(open) = &mut self.open else {
            return Err(Error::Misuse { what: "the archive", why: "no file was begun" });
        };
        if content.len() as u64 > open.room {
            return Err(Error::TooMuchContent { name: open.name.clone(), offered: content.len(), room: open.room });
        }
        self.inner.write_all(content)?;
        open.room -= content.len() as u64;
        Ok(())
    }

    /// Bytes of the open file that are still to come.
    pub fn content_left(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.room)
    }

    /// Ends the open file. Missing content (the file shrank while it was read) becomes zero bytes; returns how many.
    pub fn end_file(&mut self) -> Result<u64, Error> {
        let Some(open) = self.open.take() else {
            return Err(Error::Misuse { what: "the archive", why: "no file was begun" });
        };
        self.write_zeros(open.room + padding(open.size) as u64)?;
        Ok(open.room)
    }

    /// Writes the end-of-archive mark, 1024 zero bytes, and gives the inner writer back.
    pub fn finish(mut self) -> Result<W, Error> {
        self.refuse_open_file()?;
        self.write_zeros(2 * BLOCK_BYTES as u64)?;
        Ok(self.inner)
    }

    fn write_zeros(&mut self, mut count: u64) -> Result<(), Error> {
        while count > 0 {
            let step = count.min(ZEROS.len() as u64);
            self.inner.write_all(&ZEROS[..step as usize])?;
            count -= step;
        }
        Ok(())
    }

    fn refuse_open_file(&self) -> Result<(), Error> {
        match self.open {
            Some(_) => Err(Error::Misuse { what: "the archive", why: "a file is still open: end_file comes first" }),
            None => Ok(()),
        }
    }
}
