//! Tar archives as WAL-G writes and reads them: ustar, PAX records only where ustar has no room.
//!
//! Promise: the writer emits exactly as many content bytes as each header says; the reader reports content that is
//! short, and reads the underlying stream to its end, so that checksums and end marks below are verified.

mod header;
mod member;
mod pax;
mod reader;
mod writer;

pub use member::{Kind, Member};
pub use reader::ArchiveReader;
pub use writer::ArchiveWriter;

/// Tar's unit: headers are one block, content is padded to whole blocks.
pub(crate) const BLOCK_BYTES: usize = 512;

/// Zero bytes that fill `size` content bytes up to a whole block.
pub(crate) fn padding(size: u64) -> usize {
    (size.wrapping_neg() % BLOCK_BYTES as u64) as usize
}
