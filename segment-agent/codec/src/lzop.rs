//! The lzop container, read only: old WAL-G and WAL-E objects with the extension `lzo`.
//!
//! Header with checksum, blocks with optional Adler-32 or CRC-32 of their plain and compressed bytes, end mark.

use std::io::{self, BufRead, Read};

use flate2::Crc;

use crate::Error;

const WHAT: &str = "the lzop stream";
const MAGIC: [u8; 9] = [0x89, b'L', b'Z', b'O', 0, 0x0D, 0x0A, 0x1A, 0x0A];
/// Largest block that lzop itself accepts.
const BLOCK_MAX_BYTES: u32 = 64 * 1024 * 1024;
/// First version whose header has the fields `version needed`, `level` and the upper half of the time.
const VERSION_LONG_HEADER: u16 = 0x0940;

const FLAG_ADLER_PLAIN: u32 = 0x1;
const FLAG_ADLER_COMPRESSED: u32 = 0x2;
const FLAG_EXTRA_FIELD: u32 = 0x40;
const FLAG_CRC_PLAIN: u32 = 0x100;
const FLAG_CRC_COMPRESSED: u32 = 0x200;
const FLAG_MULTI_PART: u32 = 0x400;
const FLAG_FILTER: u32 = 0x800;
const FLAG_CRC_HEADER: u32 = 0x1000;

pub(crate) struct LzopReader<R: BufRead> {
    source: R,
    state: State,
    plain: Vec<u8>,
    taken: usize,
}

#[derive(Clone, Copy)]
enum State {
    Start,
    Blocks { flags: u32 },
    AfterEndMark,
    Ended,
}

impl<R: BufRead> LzopReader<R> {
    pub(crate) fn new(source: R) -> LzopReader<R> {
        LzopReader { source, state: State::Start, plain: Vec::new(), taken: 0 }
    }

    fn read_next(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        while self.taken == self.plain.len() {
            match self.state {
                State::Start => self.state = State::Blocks { flags: read_header(&mut self.source)? },
                State::Blocks { flags } => {
                    self.taken = 0;
                    if !read_block(&mut self.source, flags, &mut self.plain)? {
                        self.state = State::AfterEndMark;
                    }
                }
                State::AfterEndMark => {
                    let is_source_empty = match self.source.fill_buf() {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        result => result?.is_empty(),
                    };
                    self.state = if is_source_empty { State::Ended } else { State::Start };
                }
                State::Ended => return Ok(0),
            }
        }
        let read = buf.len().min(self.plain.len() - self.taken);
        buf[..read].copy_from_slice(&self.plain[self.taken..self.taken + read]);
        self.taken += read;
        Ok(read)
    }
}

impl<R: BufRead> Read for LzopReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        Ok(self.read_next(buf)?)
    }
}

/// Reads numbers and remembers the bytes for the header's checksum.
struct HeaderReader<'a, R> {
    source: &'a mut R,
    seen: Vec<u8>,
}

impl<R: Read> HeaderReader<'_, R> {
    fn bytes(&mut self, count: usize) -> Result<&[u8], Error> {
        let start = self.seen.len();
        self.seen.resize(start + count, 0);
        read_exact(self.source, &mut self.seen[start..])?;
        Ok(&self.seen[start..])
    }

    fn number(&mut self, bytes: usize) -> Result<u32, Error> {
        Ok(self.bytes(bytes)?.iter().fold(0, |number, &byte| number << 8 | u32::from(byte)))
    }

    /// Compares the checksum that follows with that of the bytes since the last one.
    fn verify(&mut self, flags: u32) -> Result<(), Error> {
        let expected = if flags & FLAG_CRC_HEADER != 0 { crc32(&self.seen) } else { adler32(&self.seen) };
        if read_u32(self.source)? != expected {
            return Err(Error::corrupt(WHAT, "a header has a wrong checksum"));
        }
        self.seen.clear();
        Ok(())
    }
}

/// Reads and verifies a header; returns its flags.
fn read_header(source: &mut impl Read) -> Result<u32, Error> {
    let mut magic = [0; MAGIC.len()];
    read_exact(source, &mut magic)?;
    if magic != MAGIC {
        return Err(Error::corrupt(WHAT, "it does not start with lzop's magic number"));
    }
    let mut header = HeaderReader { source, seen: Vec::new() };
    let version = header.number(2)? as u16;
    let has_long_header = version >= VERSION_LONG_HEADER;
    header.bytes(if has_long_header { 4 } else { 2 })?;
    let method = header.number(1)?;
    if has_long_header {
        header.bytes(1)?;
    }
    let flags = header.number(4)?;
    if flags & FLAG_FILTER != 0 {
        header.bytes(4)?;
    }
    header.bytes(if has_long_header { 12 } else { 8 })?;
    let name_bytes = header.number(1)? as usize;
    header.bytes(name_bytes)?;
    header.verify(flags)?;
    if flags & FLAG_EXTRA_FIELD != 0 {
        let extra_bytes = header.number(4)?;
        if extra_bytes > BLOCK_MAX_BYTES {
            return Err(Error::corrupt(WHAT, format!("an extra field of {extra_bytes} bytes")));
        }
        header.bytes(extra_bytes as usize)?;
        header.verify(flags)?;
    }
    if !(1..=3).contains(&method) || flags & (FLAG_FILTER | FLAG_MULTI_PART) != 0 {
        let why = format!("method {method}, flags {flags:#x}");
        return Err(Error::Unsupported { what: "this lzop stream", why });
    }
    Ok(flags)
}

/// Reads and verifies one block into `plain`; false at the end mark.
fn read_block(source: &mut impl Read, flags: u32, plain: &mut Vec<u8>) -> Result<bool, Error> {
    plain.clear();
    let plain_bytes = read_u32(source)?;
    if plain_bytes == 0 {
        return Ok(false);
    }
    let stored_bytes = read_u32(source)?;
    if plain_bytes > BLOCK_MAX_BYTES || stored_bytes > plain_bytes {
        return Err(Error::corrupt(WHAT, format!("a block of {stored_bytes} bytes for {plain_bytes}")));
    }
    let mut checksum = |flag: u32, is_there: bool| match flags & flag != 0 && is_there {
        true => read_u32(source).map(Some),
        false => Ok(None),
    };
    let is_compressed = stored_bytes < plain_bytes;
    let plain_sums = (checksum(FLAG_ADLER_PLAIN, true)?, checksum(FLAG_CRC_PLAIN, true)?);
    let stored_sums = (checksum(FLAG_ADLER_COMPRESSED, is_compressed)?, checksum(FLAG_CRC_COMPRESSED, is_compressed)?);
    let mut stored = vec![0; stored_bytes as usize];
    read_exact(source, &mut stored)?;
    verify(&stored, stored_sums)?;
    if is_compressed {
        plain.resize(plain_bytes as usize, 0);
        let length = lzokay::decompress::decompress(&stored, plain)
            .map_err(|error| Error::corrupt(WHAT, format!("a block cannot be decompressed: {error:?}")))?;
        if length != plain.len() {
            return Err(Error::corrupt(WHAT, "a block has less content than its header says"));
        }
    } else {
        *plain = stored;
    }
    verify(plain, plain_sums)?;
    Ok(true)
}

fn verify(bytes: &[u8], (adler, crc): (Option<u32>, Option<u32>)) -> Result<(), Error> {
    if adler.is_some_and(|sum| sum != adler32(bytes)) || crc.is_some_and(|sum| sum != crc32(bytes)) {
        return Err(Error::corrupt(WHAT, "a block has a wrong checksum"));
    }
    Ok(())
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn adler32(bytes: &[u8]) -> u32 {
    let (mut low, mut high) = (1u32, 0u32);
    // 5552 bytes are the most that cannot overflow the sums before the division.
    for run in bytes.chunks(5552) {
        for &byte in run {
            low += u32::from(byte);
            high += low;
        }
        low %= 65521;
        high %= 65521;
    }
    high << 16 | low
}

fn read_u32(source: &mut impl Read) -> Result<u32, Error> {
    let mut bytes = [0; 4];
    read_exact(source, &mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

fn read_exact(source: &mut impl Read, buf: &mut [u8]) -> Result<(), Error> {
    source.read_exact(buf).map_err(|error| match Error::from(error) {
        Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => Error::Truncated { what: WHAT },
        other => other,
    })
}
