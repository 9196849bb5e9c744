//! Writes one LZ4 frame as WAL-G does: independent blocks, content checksum, no block checksums, no content size.
//!
//! Blocks hold 256 KiB (the header allows 4 MiB): content and result fit a processor's cache together, and matches reach
//! back 64 KiB at most anyway. A slice of at least one block is compressed where it lies; smaller ones are gathered.

use std::io::{self, Write};

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};
use xxhash_rust::xxh32::Xxh32;

use super::descriptor::WRITTEN;
use super::{MAGIC, STORED_FLAG};
use crate::Error;

const BLOCK_BYTES: usize = 256 * 1024;
/// Bytes in front of a block: its size.
const SIZE_BYTES: usize = 4;

pub(crate) struct FrameWriter<W: Write> {
    inner: W,
    table: CompressTable,
    checksum: Xxh32,
    /// Content that does not fill a block yet.
    gathered: Vec<u8>,
    /// One block with its size in front.
    output: Vec<u8>,
    has_header: bool,
}

impl<W: Write> FrameWriter<W> {
    pub(crate) fn new(inner: W) -> FrameWriter<W> {
        FrameWriter {
            inner,
            table: CompressTable::default(),
            checksum: Xxh32::new(0),
            gathered: Vec::new(),
            output: Vec::new(),
            has_header: false,
        }
    }

    /// Writes what was gathered, the end mark and the content checksum.
    pub(crate) fn finish(mut self) -> Result<W, Error> {
        self.write_gathered()?;
        self.write_header()?;
        self.inner.write_all(&0u32.to_le_bytes())?;
        self.inner.write_all(&self.checksum.digest().to_le_bytes())?;
        Ok(self.inner)
    }

    fn write_header(&mut self) -> io::Result<()> {
        if !self.has_header {
            self.inner.write_all(&MAGIC.to_le_bytes())?;
            self.inner.write_all(&WRITTEN)?;
            self.has_header = true;
        }
        Ok(())
    }

    fn write_gathered(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let mut gathered = std::mem::take(&mut self.gathered);
        let result = self.write_block(&gathered);
        gathered.clear();
        self.gathered = gathered;
        result
    }

    fn write_block(&mut self, content: &[u8]) -> io::Result<()> {
        self.write_header()?;
        self.checksum.update(content);
        let needed = SIZE_BYTES + get_maximum_output_size(content.len());
        if self.output.len() < needed {
            self.output.resize(needed, 0);
        }
        let compressed = compress_into_with_table(content, &mut self.output[SIZE_BYTES..], &mut self.table)
            .map_err(|error| Error::setup("lz4 compression", error))?;
        if compressed < content.len() {
            self.output[..SIZE_BYTES].copy_from_slice(&(compressed as u32).to_le_bytes());
            self.inner.write_all(&self.output[..SIZE_BYTES + compressed])
        } else {
            self.inner.write_all(&(content.len() as u32 | STORED_FLAG).to_le_bytes())?;
            self.inner.write_all(content)
        }
    }
}

impl<W: Write> Write for FrameWriter<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if buf.len() >= BLOCK_BYTES {
            self.write_gathered()?;
            self.write_block(&buf[..BLOCK_BYTES])?;
            return Ok(BLOCK_BYTES);
        }
        let taken = buf.len().min(BLOCK_BYTES - self.gathered.len());
        self.gathered.extend_from_slice(&buf[..taken]);
        if self.gathered.len() == BLOCK_BYTES {
            self.write_gathered()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
