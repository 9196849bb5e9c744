//! Reads an archive, member by member: ustar, PAX, GNU long names and old V7 headers.
//!
//! Names come out as stored, with or without a leading `/`. A missing end-of-archive mark and a missing padding of the
//! last member are accepted, because WAL-G writes such archives; content that is short is not.

use std::io::{self, Read};

use super::header::checksum;
use super::pax::{Overrides, Scope};
use super::{BLOCK_BYTES, Kind, Member, padding};
use crate::Error;

const WHAT: &str = "the archive";
/// Largest extended header that is believed.
const EXTENDED_MAX_BYTES: u64 = 1024 * 1024;
/// Type flags of members that never have content, whatever their size field says.
const HEADER_ONLY: &[u8] = b"123456";

/// Reads members from `R`, and `R` to its end.
pub struct ArchiveReader<R: Read> {
    inner: R,
    content_left: u64,
    padding_left: usize,
    global: Overrides,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Members,
    /// The reader is at its end; true if the end-of-archive mark was seen.
    Ended(bool),
    Failed,
}

impl<R: Read> ArchiveReader<R> {
    pub fn new(inner: R) -> ArchiveReader<R> {
        ArchiveReader { inner, content_left: 0, padding_left: 0, global: Overrides::default(), state: State::Members }
    }

    /// The next member, after skipping what is left of the current one. `None` only after the archive's end and after
    /// the underlying reader was read to its end, with nothing but zero bytes on the way.
    pub fn next_member(&mut self) -> Result<Option<Member>, Error> {
        match self.state {
            State::Ended(_) => return Ok(None),
            State::Failed => return Err(Error::Misuse { what: WHAT, why: "an earlier read failed" }),
            State::Members => {}
        }
        let result = self.advance();
        if result.is_err() {
            self.state = State::Failed;
        }
        result
    }

    /// Content of the current member; 0 at its end (for a non-empty `buf`).
    pub fn read_content(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        let wanted = buf.len().min(usize::try_from(self.content_left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let read = read_some(&mut self.inner, &mut buf[..wanted])?;
        if read == 0 {
            self.state = State::Failed;
            return Err(Error::Truncated { what: WHAT });
        }
        self.content_left -= read as u64;
        Ok(read)
    }

    /// Bytes of the current member that are still to be read.
    pub fn content_left(&self) -> u64 {
        self.content_left
    }

    /// True once the end-of-archive mark was seen; remote parts and pg_control archives of WAL-G have none.
    pub fn has_trailer(&self) -> bool {
        self.state == State::Ended(true)
    }

    /// The underlying reader.
    pub fn into_inner(self) -> R {
        self.inner
    }

    fn advance(&mut self) -> Result<Option<Member>, Error> {
        self.skip_content()?;
        let mut overrides = self.global.clone();
        let mut is_extended = false;
        loop {
            let Some(block) = self.read_header()? else {
                if is_extended {
                    return Err(Error::Truncated { what: WHAT });
                }
                return Ok(None);
            };
            let header = tar::Header::from_byte_slice(&block);
            let flag = header.entry_type().as_byte();
            let size = unsigned("size", &header.as_old().size)?;
            match flag {
                b'x' => overrides.add_pax(&self.read_extended(size)?, Scope::Member)?,
                b'g' => {
                    let content = self.read_extended(size)?;
                    self.global.add_pax(&content, Scope::Global)?;
                    overrides.add_pax(&content, Scope::Global)?;
                }
                b'L' => overrides.path = Some(until_zero(&self.read_extended(size)?).to_vec()),
                b'K' => overrides.link_path = Some(until_zero(&self.read_extended(size)?).to_vec()),
                b'S' | b'M' | b'V' => {
                    let why = format!("type flag {:?}", char::from(flag));
                    return Err(Error::Unsupported { what: "an archive member", why });
                }
                _ => return self.begin_member(header, flag, size, &overrides).map(Some),
            }
            is_extended = true;
        }
    }

    fn begin_member(&mut self, header: &tar::Header, flag: u8, size: u64, over: &Overrides) -> Result<Member, Error> {
        let name = over.path.clone().unwrap_or_else(|| header.path_bytes().into_owned());
        let target = || {
            let stored = || header.link_name_bytes().map(|bytes| bytes.into_owned()).unwrap_or_default();
            over.link_path.clone().unwrap_or_else(stored)
        };
        let kind = match flag {
            0 | b'0' | b'7' if name.ends_with(b"/") => Kind::Directory,
            0 | b'0' | b'7' => Kind::File,
            b'1' => Kind::HardLink(target()),
            b'2' => Kind::Symlink(target()),
            b'5' => Kind::Directory,
            other => Kind::Other(other),
        };
        let fields = header.as_old();
        let size = if HEADER_ONLY.contains(&flag) { 0 } else { over.size.unwrap_or(size) };
        self.content_left = size;
        self.padding_left = padding(size);
        let text = |bytes: Option<&[u8]>| bytes.map(|b| String::from_utf8_lossy(b).into_owned()).unwrap_or_default();
        Ok(Member {
            name,
            kind,
            size,
            // Only the permission bits and their neighbours count; some programs store the file type here too.
            mode: (unsigned("mode", &fields.mode)? & 0o7777) as u32,
            uid: over.uid.map_or_else(|| unsigned("uid", &fields.uid), Ok)?,
            gid: over.gid.map_or_else(|| unsigned("gid", &fields.gid), Ok)?,
            uname: over.uname.clone().unwrap_or_else(|| text(header.username_bytes())),
            gname: over.gname.clone().unwrap_or_else(|| text(header.groupname_bytes())),
            mtime_secs: over.mtime_secs.map_or_else(|| number("mtime", &fields.mtime), Ok)?,
        })
    }

    /// The next non-zero block with a right checksum; `None` after the archive's end.
    fn read_header(&mut self) -> Result<Option<[u8; BLOCK_BYTES]>, Error> {
        let mut block = [0; BLOCK_BYTES];
        match read_full(&mut self.inner, &mut block)? {
            0 => {
                self.state = State::Ended(false);
                return Ok(None);
            }
            BLOCK_BYTES => {}
            _ => return Err(Error::Truncated { what: WHAT }),
        }
        if block.iter().all(|&byte| byte == 0) {
            let zeros = self.drain_zeros()?;
            self.state = State::Ended(zeros >= BLOCK_BYTES as u64);
            return Ok(None);
        }
        let stored = unsigned("checksum", &tar::Header::from_byte_slice(&block).as_old().cksum)?;
        if stored != u64::from(checksum(&block)) {
            return Err(Error::corrupt(WHAT, "a header has a wrong checksum"));
        }
        Ok(Some(block))
    }

    /// Reads the content of an extended header, which must be complete with its padding.
    fn read_extended(&mut self, size: u64) -> Result<Vec<u8>, Error> {
        if size > EXTENDED_MAX_BYTES {
            return Err(Error::corrupt(WHAT, format!("an extended header of {size} bytes")));
        }
        let mut content = vec![0; size as usize + padding(size)];
        if read_full(&mut self.inner, &mut content)? < content.len() {
            return Err(Error::Truncated { what: WHAT });
        }
        content.truncate(size as usize);
        Ok(content)
    }

    fn skip_content(&mut self) -> Result<(), Error> {
        if self.content_left > 0 {
            let mut buffer = vec![0; 64 * 1024];
            while self.read_content(&mut buffer)? > 0 {}
        }
        let mut pad = [0; BLOCK_BYTES];
        // Short padding can only be the archive's end, which the next header read finds.
        read_full(&mut self.inner, &mut pad[..std::mem::take(&mut self.padding_left)])?;
        Ok(())
    }

    /// Reads to the end of the stream, which may hold zero bytes only. Returns their number.
    fn drain_zeros(&mut self) -> Result<u64, Error> {
        let mut buffer = vec![0; 16 * 1024];
        let mut zeros = 0;
        loop {
            let read = read_some(&mut self.inner, &mut buffer)?;
            if read == 0 {
                return Ok(zeros);
            }
            if buffer[..read].iter().any(|&byte| byte != 0) {
                return Err(Error::corrupt(WHAT, "there is data after its end mark"));
            }
            zeros += read as u64;
        }
    }
}

fn unsigned(field: &str, bytes: &[u8]) -> Result<u64, Error> {
    u64::try_from(number(field, bytes)?).map_err(|_| bad_number(field))
}

/// A numeric field: octal digits between spaces and zero bytes (none at all count as 0), or, with the highest bit set,
/// GNU's big-endian binary number.
fn number(field: &str, bytes: &[u8]) -> Result<i64, Error> {
    if bytes.first().is_some_and(|first| first & 0x80 != 0) {
        return binary_number(bytes).ok_or_else(|| bad_number(field));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| bad_number(field))?;
    let digits = text.trim_start_matches([' ', '\0']).split('\0').next().unwrap_or_default().trim_end_matches(' ');
    if digits.is_empty() {
        return Ok(0);
    }
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(bad_number(field));
    }
    i64::from_str_radix(digits, 8).map_err(|_| bad_number(field))
}

/// Bit 6 of the first byte is the sign, as in two's complement.
fn binary_number(bytes: &[u8]) -> Option<i64> {
    let (first, rest) = bytes.split_first()?;
    let start = if first & 0x40 != 0 { i64::from(*first) - 0x100 } else { i64::from(first & 0x3F) };
    rest.iter().try_fold(start, |value, &byte| Some(value.checked_mul(256)? + i64::from(byte)))
}

fn bad_number(field: &str) -> Error {
    Error::corrupt(WHAT, format!("the {field} of a header is not a number"))
}

fn until_zero(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == 0).next().unwrap_or_default()
}

fn read_some(reader: &mut impl Read, buf: &mut [u8]) -> Result<usize, Error> {
    loop {
        match reader.read(buf) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return Ok(result?),
        }
    }
}

/// Fills `buf` as far as the stream goes.
fn read_full(reader: &mut impl Read, buf: &mut [u8]) -> Result<usize, Error> {
    let mut filled = 0;
    while filled < buf.len() {
        match read_some(reader, &mut buf[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}
