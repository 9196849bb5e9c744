//! Increments: what a delta stores of a file that changed in part.
//!
//! All numbers are little endian. Of a relation: `wi1` 0x55, u64 bytes of the whole file, u32 count, the numbers of the blocks
//! (u32, ascending), their pages. Of an append-optimized file: `wi1` 0x56, u64 bytes of the whole file, u64 offset, everything
//! from the offset on. The readers here take the head; what follows is the caller's.

use std::io::{ErrorKind, Read};

/// How the increment of a relation file begins.
pub const PAGE_MAGIC: [u8; 4] = *b"wi1\x55";
/// How the increment of an append-optimized file begins.
pub const TAIL_MAGIC: [u8; 4] = *b"wi1\x56";

const PAGE_HEAD_BYTES: u64 = 16;
const TAIL_HEAD_BYTES: u64 = 20;
/// Sizes that a page may have (storage format, section 4; pg_config.h, `BLCKSZ`).
const PAGE_BYTES: std::ops::RangeInclusive<u64> = 512..=65536;

/// Bytes that are no increment.
#[derive(Debug, thiserror::Error)]
pub enum IncrementError {
    #[error("reading the increment: {0}")]
    Read(std::io::Error),
    #[error("the increment is cut off")]
    Truncated,
    #[error("it begins with {found:02x?}, an increment begins with {expected:02x?}")]
    NoIncrement { found: [u8; 4], expected: [u8; 4] },
    #[error("the increment has the version {:?}, which this release does not know", char::from(*.0))]
    Version(u8),
    #[error("an increment of {count} blocks cannot have {bytes} bytes")]
    WrongSize { count: u64, bytes: u64 },
    #[error("block {next} follows block {previous}: the blocks of an increment rise")]
    Disorder { previous: u32, next: u32 },
    #[error("an increment of {bytes} bytes cannot take a file from {offset} to {end} bytes")]
    WrongStretch { offset: u64, end: u64, bytes: u64 },
}

/// The head of a relation's increment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageIncrement {
    /// Of the whole file. A file may have grown afterwards, so blocks beyond it are legal.
    pub file_bytes: u64,
    /// Numbers of the pages that follow, ascending; possibly none.
    pub blocks: Vec<u32>,
}

impl PageIncrement {
    /// Everything before the pages.
    pub fn head(&self) -> Vec<u8> {
        let mut head = Vec::with_capacity(PAGE_HEAD_BYTES as usize + 4 * self.blocks.len());
        head.extend(PAGE_MAGIC);
        head.extend(self.file_bytes.to_le_bytes());
        head.extend((self.blocks.len() as u32).to_le_bytes());
        self.blocks.iter().for_each(|block| head.extend(block.to_le_bytes()));
        head
    }

    /// Bytes of the whole increment.
    pub fn stored_bytes(&self, page_bytes: u32) -> u64 {
        PAGE_HEAD_BYTES + self.blocks.len() as u64 * (4 + u64::from(page_bytes))
    }

    /// Reads the head of an increment that has `stored_bytes` in all. Also returns the size of its pages, which follow: the
    /// increment tells it by its size (0 where it has no pages).
    pub fn read(reader: &mut impl Read, stored_bytes: u64) -> Result<(Self, u32), IncrementError> {
        read_magic(reader, PAGE_MAGIC)?;
        let file_bytes = u64::from_le_bytes(read_array(reader)?);
        let count = u32::from_le_bytes(read_array(reader)?);
        let page_bytes = page_bytes_of(count.into(), stored_bytes)?;
        // A size that is a lie must not reserve memory.
        let mut blocks = Vec::with_capacity(count.min(1 << 17) as usize);
        for _ in 0..count {
            let next = u32::from_le_bytes(read_array(reader)?);
            match blocks.last() {
                Some(&previous) if previous >= next => return Err(IncrementError::Disorder { previous, next }),
                _ => blocks.push(next),
            }
        }
        Ok((Self { file_bytes, blocks }, page_bytes))
    }
}

fn page_bytes_of(count: u64, stored_bytes: u64) -> Result<u32, IncrementError> {
    let wrong = || IncrementError::WrongSize { count, bytes: stored_bytes };
    let pages = stored_bytes.checked_sub(PAGE_HEAD_BYTES + 4 * count).ok_or_else(wrong)?;
    if count == 0 {
        return if pages == 0 { Ok(0) } else { Err(wrong()) };
    }
    let page = pages / count;
    let legal = page * count == pages && page.is_power_of_two() && PAGE_BYTES.contains(&page);
    u32::try_from(page).ok().filter(|_| legal).ok_or_else(wrong)
}

/// The head of an append-optimized file's increment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailIncrement {
    /// Bytes of the whole file.
    pub end: u64,
    /// Bytes of the file before, to which the rest is appended; less than [`Self::end`].
    pub offset: u64,
}

impl TailIncrement {
    /// Everything before the appended bytes.
    pub fn head(&self) -> [u8; TAIL_HEAD_BYTES as usize] {
        let mut head = [0; TAIL_HEAD_BYTES as usize];
        head[..4].copy_from_slice(&TAIL_MAGIC);
        head[4..12].copy_from_slice(&self.end.to_le_bytes());
        head[12..].copy_from_slice(&self.offset.to_le_bytes());
        head
    }

    /// Bytes of the whole increment.
    pub fn stored_bytes(&self) -> u64 {
        TAIL_HEAD_BYTES + self.end.saturating_sub(self.offset)
    }

    /// Reads the head of an increment; `stored_bytes` are those of the whole, where they are known. `end - offset` bytes follow.
    pub fn read(reader: &mut impl Read, stored_bytes: Option<u64>) -> Result<Self, IncrementError> {
        read_magic(reader, TAIL_MAGIC)?;
        let end = u64::from_le_bytes(read_array(reader)?);
        let offset = u64::from_le_bytes(read_array(reader)?);
        let tail = end.checked_sub(offset).filter(|tail| *tail > 0);
        let bytes = tail.and_then(|tail| tail.checked_add(TAIL_HEAD_BYTES));
        match bytes {
            Some(bytes) if stored_bytes.is_none_or(|stored| stored == bytes) => Ok(Self { end, offset }),
            _ => Err(IncrementError::WrongStretch { offset, end, bytes: stored_bytes.unwrap_or_default() }),
        }
    }
}

fn read_magic(reader: &mut impl Read, expected: [u8; 4]) -> Result<(), IncrementError> {
    let found: [u8; 4] = read_array(reader)?;
    match (found[0], found[1], found[3]) == (expected[0], expected[1], expected[3]) {
        true if found[2] == expected[2] => Ok(()),
        true => Err(IncrementError::Version(found[2])),
        false => Err(IncrementError::NoIncrement { found, expected }),
    }
}

fn read_array<const N: usize>(reader: &mut impl Read) -> Result<[u8; N], IncrementError> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => IncrementError::Truncated,
        _ => IncrementError::Read(error),
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(blocks: &[u32]) -> PageIncrement {
        PageIncrement { file_bytes: 40 * 8192, blocks: blocks.to_vec() }
    }

    #[test]
    fn bytes_of_the_format() {
        let increment = PageIncrement { file_bytes: 0x1_8000, blocks: vec![1, 258] };
        let head = increment.head();
        assert_eq!(hex(&head), "77693155008001000000000002000000010000000201".to_owned() + "0000");
        assert_eq!(increment.stored_bytes(8192), 16 + 2 * (4 + 8192));
        let tail = TailIncrement { end: 300, offset: 256 };
        assert_eq!(hex(&tail.head()), "776931562c010000000000000001000000000000");
        assert_eq!(tail.stored_bytes(), 20 + 44);
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn heads_come_back() {
        for blocks in [&[][..], &[0], &[0, 3, u32::MAX]] {
            for page_bytes in [8192, 32768] {
                let increment = pages(blocks);
                let read = PageIncrement::read(&mut &increment.head()[..], increment.stored_bytes(page_bytes)).unwrap();
                assert_eq!(read, (increment, if blocks.is_empty() { 0 } else { page_bytes }));
            }
        }
        let tail = TailIncrement { end: 300, offset: 0 };
        assert_eq!(TailIncrement::read(&mut &tail.head()[..], Some(320)).unwrap(), tail);
        assert_eq!(TailIncrement::read(&mut &tail.head()[..], None).unwrap(), tail);
    }

    #[test]
    fn malformed_pages_are_told_apart() {
        let read = |head: &[u8], bytes| PageIncrement::read(&mut &head[..], bytes).unwrap_err();
        let good = pages(&[1, 2]);
        let (head, bytes) = (good.head(), good.stored_bytes(8192));
        for end in 0..head.len() {
            assert!(matches!(read(&head[..end], bytes), IncrementError::Truncated), "{end}");
        }
        for bytes in [0, 16, bytes - 1, bytes + 1, bytes + 2, good.stored_bytes(256), good.stored_bytes(131_072)] {
            assert!(matches!(read(&head, bytes), IncrementError::WrongSize { .. }), "{bytes}");
        }
        assert!(matches!(read(&pages(&[]).head(), 17), IncrementError::WrongSize { .. }));
        for blocks in [[2, 1], [2, 2]] {
            assert!(matches!(read(&pages(&blocks).head(), bytes), IncrementError::Disorder { previous: 2, .. }));
        }
        for (at, byte) in [(0, b'x'), (1, b'x'), (3, 0x56)] {
            let mut wrong = head.clone();
            wrong[at] = byte;
            assert!(matches!(read(&wrong, bytes), IncrementError::NoIncrement { .. }), "{at}");
        }
        assert!(matches!(read(b"wi2\x55", bytes), IncrementError::Version(b'2')));
    }

    #[test]
    fn malformed_tails_are_told_apart() {
        let read = |head: &[u8], bytes| TailIncrement::read(&mut &head[..], bytes).unwrap_err();
        let head = TailIncrement { end: 300, offset: 256 }.head();
        for end in 0..head.len() {
            assert!(matches!(read(&head[..end], None), IncrementError::Truncated), "{end}");
        }
        for (end, offset) in [(0, 0), (256, 256), (255, 256), (u64::MAX, 0)] {
            let head = TailIncrement { end, offset }.head();
            assert!(matches!(read(&head, None), IncrementError::WrongStretch { .. }), "{end} {offset}");
        }
        assert!(matches!(read(&head, Some(63)), IncrementError::WrongStretch { .. }));
        assert!(matches!(read(b"wi1\x55", None), IncrementError::NoIncrement { .. }));
        assert!(matches!(read(b"wi0\x56", None), IncrementError::Version(b'0')));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, stored: u64) {
            let with = |magic: [u8; 4]| [&magic[..], &bytes].concat();
            let _ = PageIncrement::read(&mut &with(PAGE_MAGIC)[..], stored);
            let _ = TailIncrement::read(&mut &with(TAIL_MAGIC)[..], Some(stored));
        }
    }
}
