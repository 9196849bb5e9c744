//! The frame descriptor: what follows a frame's magic number.

use std::io::Read;

use xxhash_rust::xxh32::xxh32;

use super::WHAT;
use crate::Error;

/// Descriptor of what WAL-G writes: version 1, independent blocks up to 4 MiB, content checksum; then its checksum.
pub(super) const WRITTEN: [u8; 3] = [0x64, 0x70, 0xB9];

/// A parsed frame descriptor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptor {
    pub(super) linked_blocks: bool,
    pub(super) block_checksums: bool,
    pub(super) content_checksum: bool,
    pub(super) content_bytes: Option<u64>,
    pub(super) block_max_bytes: usize,
}

impl Descriptor {
    /// Reads and verifies the descriptor that follows a frame's magic number.
    pub(super) fn read(source: &mut impl Read) -> Result<Descriptor, Error> {
        let mut bytes = [0; 2 + 8 + 1];
        read_exact(source, &mut bytes[..2])?;
        let [flags, sizes, ..] = bytes;
        if flags >> 6 != 1 {
            return Err(unsupported(format!("frame version {}", flags >> 6)));
        }
        let has_content_size = flags & 0x08 != 0;
        if flags & 0x01 != 0 {
            return Err(unsupported("a frame that needs a dictionary".to_owned()));
        }
        if flags & 0x02 != 0 || sizes & 0x8F != 0 {
            return Err(Error::corrupt(WHAT, "reserved bits of a frame header are set"));
        }
        let block_max_bytes = match sizes >> 4 {
            4 => 64 * 1024,
            5 => 256 * 1024,
            6 => 1024 * 1024,
            7 => 4 * 1024 * 1024,
            id => return Err(Error::corrupt(WHAT, format!("block size id {id}"))),
        };
        let length = if has_content_size { 10 } else { 2 };
        read_exact(source, &mut bytes[2..length + 1])?;
        if (xxh32(&bytes[..length], 0) >> 8) as u8 != bytes[length] {
            return Err(Error::corrupt(WHAT, "a frame header has a wrong checksum"));
        }
        let mut content_size = [0; 8];
        content_size.copy_from_slice(&bytes[2..10]);
        Ok(Descriptor {
            linked_blocks: flags & 0x20 == 0,
            block_checksums: flags & 0x10 != 0,
            content_checksum: flags & 0x04 != 0,
            content_bytes: has_content_size.then(|| u64::from_le_bytes(content_size)),
            block_max_bytes,
        })
    }
}

/// `Read::read_exact` with this package's errors.
pub(super) fn read_exact(source: &mut impl Read, buf: &mut [u8]) -> Result<(), Error> {
    source.read_exact(buf).map_err(|error| match Error::from(error) {
        Error::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Error::Truncated { what: WHAT },
        other => other,
    })
}

/// Reads a little-endian number.
pub(super) fn read_u32(source: &mut impl Read) -> Result<u32, Error> {
    let mut bytes = [0; 4];
    read_exact(source, &mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn unsupported(why: String) -> Error {
    Error::Unsupported { what: "this lz4 stream", why }
}
