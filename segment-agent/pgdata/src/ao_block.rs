//! The blocks of an append-optimized file (Greenplum's cdbappendonlystorage): lengths, and checksums where the table has them.
//!
//! A block begins with a header of eight bytes, two little-endian words. Of the first, bit 31 is zero, bits 28 to 30 are the kind, and
//! bit 27 says that eight bytes with the number of the first row follow. A table with checksums (the default) has two CRC-32C, all bits
//! inverted, after the header: of all that follows them in the block, then of header and first checksum. A block's content is filled up
//! to eight bytes.

/// Bytes of a header with its checksums.
const HEADER_BYTES: usize = 16;

/// Header and the checksum of the content: what the header's own checksum is of.
const CHECKED_BYTES: usize = 12;

const ROW_NUMBER_BYTES: u32 = 8;
const ROW_NUMBER_BIT: u32 = 0x0800_0000;

/// Lengths have 21 bits.
const LENGTH_MASK: u32 = 0x001F_FFFF;

/// Follows the blocks of one file, whose bytes come in pieces of any size.
///
/// Files whose first header has no valid checksum are not judged: the table may have none, and nothing in a file tells.
#[derive(Clone, Debug, Default)]
pub struct AoBlocks {
    /// Bytes so far.
    position: u64,
    place: Place,
    /// The first thing that is wrong, in words.
    wrong: Option<String>,
}

#[derive(Clone, Debug)]
enum Place {
    /// At the beginning of a block, or inside of its header.
    Header { bytes: [u8; HEADER_BYTES], filled: usize },
    /// Inside of a block that began at byte `begin`. `crc`: of its content so far, and what it is to be in the end.
    Content { begin: u64, left: u32, crc: Option<(u32, u32)> },
    /// The file has no checksums, or a wrong block.
    Unjudged,
}

impl Default for Place {
    fn default() -> Self {
        Self::Header { bytes: [0; HEADER_BYTES], filled: 0 }
    }
}

impl AoBlocks {
    /// The next bytes of the file. What comes after the first wrong block is not judged.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !matches!(self.place, Place::Unjudged) {
            match self.step(bytes) {
                Ok(taken) => {
                    self.position += taken as u64;
                    bytes = bytes.get(taken..).unwrap_or_default();
                }
                Err(why) => {
                    self.place = Place::Unjudged;
                    self.wrong = Some(why);
                }
            }
        }
    }

    /// What is wrong if the bytes so far are the file up to its logical end. Behind that there may be anything.
    pub fn verdict(&self) -> Result<(), String> {
        if let Some(why) = &self.wrong {
            return Err(why.clone());
        }
        match &self.place {
            Place::Header { filled: 0, .. } | Place::Unjudged => Ok(()),
            // A file shorter than one header tells nothing of itself.
            Place::Header { filled, .. } if *filled as u64 == self.position => Ok(()),
            _ => Err(format!("the logical end, byte {}, lies inside of a block of the table", self.position)),
        }
    }

    /// Number of bytes that were looked at.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, String> {
        match &mut self.place {
            Place::Unjudged => Ok(bytes.len()),
            Place::Header { bytes: header, filled } => {
                let room = header.get_mut(*filled..).unwrap_or_default();
                let taken = room.len().min(bytes.len());
                for (to, from) in room.iter_mut().zip(bytes) {
                    *to = *from;
                }
                *filled += taken;
                if *filled == HEADER_BYTES {
                    let (header, begin) = (*header, self.position + taken as u64 - HEADER_BYTES as u64);
                    self.place = place_after(&header, begin)?;
                }
                Ok(taken)
            }
            Place::Content { begin, left, crc } => {
                let taken = bytes.len().min(*left as usize);
                if let Some((so_far, _)) = crc {
                    *so_far = crc32c::crc32c_append(*so_far, bytes.get(..taken).unwrap_or_default());
                }
                *left -= u32::try_from(taken).unwrap_or(*left);
                if *left == 0 {
                    if crc.is_some_and(|(found, expected)| !found != expected) {
                        return Err(format!("the block of the table at byte {begin} has a wrong checksum"));
                    }
                    self.place = Place::default();
                }
                Ok(taken)
            }
        }
    }
}

/// What follows a header at byte `begin` of the file.
fn place_after(header: &[u8; HEADER_BYTES], begin: u64) -> Result<Place, String> {
    let word = |at: usize| header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
    let is_right = !crc32c::crc32c(&header[..CHECKED_BYTES]) == word(CHECKED_BYTES);
    let lengths = lengths(word(0), word(4));
    match (is_right, lengths) {
        (false, _) if begin == 0 => Ok(Place::Unjudged),
        (false, _) => Err(format!("the header of the block of the table at byte {begin} has a wrong checksum")),
        (true, None) => Err(format!("the block of the table at byte {begin} is of no known kind")),
        (true, Some(Lengths { after: 0, .. })) => Ok(Place::default()),
        (true, Some(Lengths { after, is_checked })) => {
            Ok(Place::Content { begin, left: after, crc: is_checked.then_some((0, word(8))) })
        }
    }
}

/// Of a block.
struct Lengths {
    /// Bytes after the checksums.
    after: u32,
    is_checked: bool,
}

/// `None` for a kind that does not exist.
fn lengths(first: u32, second: u32) -> Option<Lengths> {
    if first >> 31 != 0 {
        return None;
    }
    let row_number = if first & ROW_NUMBER_BIT != 0 { ROW_NUMBER_BYTES } else { 0 };
    // Compressed length where the content is compressed, else its length.
    let packed = || match second & LENGTH_MASK {
        0 => (first & 0x3FF) << 11 | second >> 21,
        compressed => compressed,
    };
    let filled_up = |length: u32| length.next_multiple_of(8);
    Some(match (first >> 28) & 7 {
        // Small content.
        1 => Lengths { after: row_number + filled_up(packed()), is_checked: true },
        // Large content: a header alone, the content follows in blocks of its own.
        2 => Lengths { after: row_number, is_checked: false },
        // Dense content without bulk compression.
        3 => Lengths { after: row_number + filled_up(first & LENGTH_MASK), is_checked: true },
        // Dense content with bulk compression: eight more bytes of header.
        4 => Lengths { after: row_number + 8 + filled_up(packed()), is_checked: true },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block of small content.
    fn block(content: &[u8], row_number: bool) -> Vec<u8> {
        let length = content.len() as u32;
        let first = 1 << 28 | if row_number { ROW_NUMBER_BIT } else { 0 } | 7 << 10 | length >> 11;
        let second = length << 21;
        let mut after = if row_number { vec![9; 8] } else { Vec::new() };
        after.extend_from_slice(content);
        after.resize(after.len().next_multiple_of(8), 0);
        let mut all = [first.to_le_bytes(), second.to_le_bytes()].concat();
        all.extend((!crc32c::crc32c(&after)).to_le_bytes());
        all.extend((!crc32c::crc32c(&all)).to_le_bytes());
        all.extend(after);
        all
    }

    fn judged(file: &[u8], piece: usize) -> Result<(), String> {
        let mut blocks = AoBlocks::default();
        file.chunks(piece).for_each(|piece| blocks.feed(piece));
        blocks.verdict()
    }

    fn file() -> Vec<u8> {
        [block(&[1; 300], true), block(&[2; 77], false), block(&[], true), block(&[3; 5000], true)].concat()
    }

    #[test]
    fn whole_blocks_are_right_in_pieces_of_any_size() {
        for piece in [1, 7, 16, 100, 10_000] {
            assert_eq!(judged(&file(), piece), Ok(()), "{piece}");
        }
    }

    #[test]
    fn every_turned_bit_behind_the_first_header_is_found() {
        let whole = file();
        for at in HEADER_BYTES..whole.len() {
            for bit in [1, 0x80] {
                let mut damaged = whole.clone();
                damaged[at] ^= bit;
                assert!(judged(&damaged, 1000).is_err(), "{at}");
            }
        }
    }

    #[test]
    fn an_end_inside_of_a_block_is_found_and_short_files_tell_nothing() {
        let whole = file();
        let ends: Vec<usize> = (0..=whole.len()).filter(|end| judged(&whole[..*end], 50).is_ok()).collect();
        let blocks = [328, 328 + 96, 328 + 96 + 24, whole.len()];
        assert_eq!(ends[..HEADER_BYTES], (0..HEADER_BYTES).collect::<Vec<_>>());
        assert_eq!(ends[HEADER_BYTES..], blocks);
        assert_eq!(judged(&[7; 5000], 100), Ok(()), "a table without checksums");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, piece in 1usize..50) {
            let _ = judged(&bytes, piece);
            let _ = judged(&[block(&[1; 9], true), bytes].concat(), piece);
        }
    }
}
