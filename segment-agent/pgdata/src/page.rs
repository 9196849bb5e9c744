//! Pages of a relation: which of them changed since a position of the log, and their checksums.
//!
//! The rules are those of storage/bufpage.h, as WAL-G applies them to choose the pages of a delta; but WAL-G does not know the
//! layout of Greenplum's pages and stores its heap files whole.

use crate::Lsn;

/// Bytes of a page header.
pub const PAGE_HEADER_BYTES: usize = 24;
/// Pages of one file of a relation: a file never exceeds 1 GiB.
const FILE_BYTES: u64 = 1 << 30;
/// The flags that exist (`PD_VALID_FLAG_BITS`).
const VALID_FLAGS: u16 = 7;
/// Newest layout of PostgreSQL (`PG_PAGE_LAYOUT_VERSION` and one more, which WAL-G lets pass).
const LAYOUT_VERSION: u16 = 5;
/// Greenplum's number for the same layout.
const GREENPLUM_LAYOUT_VERSION: u16 = 14;

/// What a page is, seen from a position of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Last changed before the position.
    Unchanged,
    /// Changed at the position or after it.
    Changed,
    /// Without content yet, so without a position of its own.
    New,
    /// No page at all, or one of a relation without a log (its position is 0).
    Invalid,
}

/// Finds the pages of relation files that changed since a position of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageScan {
    page_bytes: u32,
    since: Lsn,
}

impl PageScan {
    /// `page_bytes`: as `pg_control` says, a power of two.
    pub fn new(page_bytes: u32, since: Lsn) -> Self {
        Self { page_bytes, since }
    }

    pub fn page_bytes(&self) -> u32 {
        self.page_bytes
    }

    /// `page` may be the header alone; what is shorter than a header is invalid.
    #[inline]
    pub fn verdict(&self, page: &[u8]) -> Verdict {
        let Some(header) = page.first_chunk::<PAGE_HEADER_BYTES>() else { return Verdict::Invalid };
        let field = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let (flags, lower, upper, special, size_version) = (field(10), field(12), field(14), field(16), field(18));
        let lsn = page_lsn(header);
        let size = self.page_bytes;
        let is_valid = flags & !VALID_FLAGS == 0
            && lower >= PAGE_HEADER_BYTES as u16
            && lower <= upper
            && upper <= special
            && u32::from(special) <= size
            && lsn.0 != 0
            && u32::from(size_version & 0xFF00) == size
            && matches!(size_version & 0xFF, 0..=LAYOUT_VERSION | GREENPLUM_LAYOUT_VERSION);
        match (is_valid, lsn >= self.since) {
            (true, false) => Verdict::Unchanged,
            (true, true) => Verdict::Changed,
            (false, _) if upper == 0 => Verdict::New,
            (false, _) => Verdict::Invalid,
        }
    }

    /// Appends to `blocks` the numbers of those of `pages` (whole pages, the first of them block `first`) that changed or are
    /// new. `false` at the first invalid page; a part of a page at the end is not looked at.
    #[must_use]
    pub fn select(&self, pages: &[u8], first: u32, blocks: &mut Vec<u32>) -> bool {
        let mut number = first;
        for page in pages.chunks_exact(self.page_bytes.max(1) as usize) {
            match self.verdict(page) {
                Verdict::Unchanged => {}
                Verdict::Changed | Verdict::New => blocks.push(number),
                Verdict::Invalid => return false,
            }
            number = number.wrapping_add(1);
        }
        true
    }
}

/// Position of the last change, as it stands in a page: the high half first.
fn page_lsn(header: &[u8; PAGE_HEADER_BYTES]) -> Lsn {
    let [a, b, c, d, e, f, g, h, ..] = *header;
    Lsn(u64::from_le_bytes([a, b, c, d, e, f, g, h]).rotate_left(32))
}

/// Number of block `block` of the file `segment_number` within its whole relation.
pub fn absolute_block(segment_number: u32, block: u32, page_bytes: u32) -> u32 {
    let per_file = (FILE_BYTES / u64::from(page_bytes.max(1))) as u32;
    segment_number.wrapping_mul(per_file).wrapping_add(block)
}

/// The checksum that `page` stores; 0: none.
pub fn stored_checksum(page: &[u8]) -> u16 {
    page.get(8..10).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
}

const LANES: usize = 32;
const PRIME: u32 = 16_777_619;
#[rustfmt::skip]
const OFFSETS: [u32; LANES] = [
    0x5B1F_36E9, 0xB852_5960, 0x02AB_50AA, 0x1DE6_6D2A, 0x79FF_467A, 0x9BB9_F8A3, 0x217E_7CD2, 0x83E1_3D2C,
    0xF8D4_474F, 0xE39E_B970, 0x42C6_AE16, 0x9932_16FA, 0x7B09_3B5D, 0x98DA_FF3C, 0xF718_902A, 0x0B1C_9CDB,
    0xE58F_764B, 0x1876_36BC, 0x5D7B_3BB1, 0xE73D_E7DE, 0x92BE_C979, 0xCCA6_C0B2, 0x304A_0979, 0x85AA_43D4,
    0x7831_25BB, 0x6CA8_EAA2, 0xE407_EAC6, 0x4B5C_FC3E, 0x9FBF_8C76, 0x15CA_20BE, 0xF2CA_9FD3, 0x959B_D756,
];

/// The checksum that `page` should store (storage/checksum_impl.h). `absolute_block`: see [`absolute_block()`].
pub fn page_checksum(page: &[u8], absolute_block: u32) -> u16 {
    let mut sums = OFFSETS;
    for (row, words) in page.chunks_exact(4 * LANES).enumerate() {
        for (lane, (sum, word)) in sums.iter_mut().zip(words.chunks_exact(4)).enumerate() {
            let mut word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
            if row == 0 && lane == 2 {
                word &= 0xFFFF_0000; // the stored checksum itself counts as 0
            }
            *sum = mixed(*sum, word);
        }
    }
    let result = sums.into_iter().fold(0, |all, sum| all ^ mixed(mixed(sum, 0), 0));
    ((result ^ absolute_block) % 65535 + 1) as u16
}

fn mixed(sum: u32, word: u32) -> u32 {
    let both = sum ^ word;
    both.wrapping_mul(PRIME) ^ (both >> 17)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SINCE: Lsn = Lsn(0x1_0000_0100);

    /// A page as a server of `size` writes it, last changed at `lsn`.
    fn page(size: u16, lsn: u64) -> Vec<u8> {
        let mut page = vec![0; size as usize];
        page[0..4].copy_from_slice(&((lsn >> 32) as u32).to_le_bytes());
        page[4..8].copy_from_slice(&(lsn as u32).to_le_bytes());
        for (at, value) in [(12, 24), (14, size), (16, size), (18, size | 4)] {
            page[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        page
    }

    fn with(mut page: Vec<u8>, at: usize, value: u16) -> Vec<u8> {
        page[at..at + 2].copy_from_slice(&value.to_le_bytes());
        page
    }

    #[test]
    fn the_position_of_the_start_belongs_to_the_delta() {
        for size in [8192, 32768] {
            let scan = PageScan::new(size.into(), SINCE);
            let verdicts = [SINCE.0 - 1, SINCE.0, SINCE.0 + 1].map(|lsn| scan.verdict(&page(size, lsn)));
            assert_eq!(verdicts, [Verdict::Unchanged, Verdict::Changed, Verdict::Changed]);
            // The high half counts before the low one.
            assert_eq!(scan.verdict(&page(size, 0xFFFF_FFFF)), Verdict::Unchanged);
            assert_eq!(scan.verdict(&page(size, 0x2_0000_0000)), Verdict::Changed);
        }
    }

    #[test]
    fn new_and_invalid_pages() {
        let scan = PageScan::new(8192, SINCE);
        let good = || page(8192, 5);
        assert_eq!(scan.verdict(&[0; 8192]), Verdict::New);
        assert_eq!(scan.verdict(&with(good(), 14, 0)), Verdict::New);
        assert_eq!(scan.verdict(&page(8192, 0)), Verdict::Invalid, "an unlogged relation");
        for (at, value) in [(10, 8), (12, 23), (12, 8193), (14, 8193), (16, 8193), (18, 8192 | 6), (18, 16384 | 4)] {
            assert_eq!(scan.verdict(&with(good(), at, value)), Verdict::Invalid, "{value} at {at}");
        }
        assert_eq!(scan.verdict(&page(32768, 5)), Verdict::Invalid, "another page size");
        assert_eq!(scan.verdict(&with(good(), 18, 8192 | 14)), Verdict::Unchanged, "Greenplum's layout");
        assert_eq!(scan.verdict(&good()[..23]), Verdict::Invalid);
        assert_eq!(scan.verdict(&good()[..24]), Verdict::Unchanged, "the header is enough");
    }

    #[test]
    fn a_file_of_pages() {
        let scan = PageScan::new(8192, SINCE);
        let pages = [page(8192, 5), page(8192, SINCE.0), vec![0; 8192], page(8192, 6), vec![9; 100]].concat();
        let mut blocks = vec![1];
        assert!(scan.select(&pages, 10, &mut blocks));
        assert_eq!(blocks, [1, 11, 12]);
        assert!(!scan.select(&vec![9; 8192], 0, &mut blocks));
    }

    #[test]
    fn checksums() {
        assert_eq!(absolute_block(0, 7, 8192), 7);
        assert_eq!((absolute_block(2, 7, 8192), absolute_block(2, 7, 32768)), (2 * 131_072 + 7, 2 * 32768 + 7));
        let some: Vec<u8> = (0..8192u32).map(|at| (at * 7 % 251) as u8).collect();
        let sum = page_checksum(&some, 3);
        assert_eq!(page_checksum(&with(some.clone(), 8, 0x5555), 3), sum, "the stored checksum is left out");
        assert_ne!(page_checksum(&some, 4), sum);
        assert_ne!(page_checksum(&with(some, 8000, 0x5555), 3), sum);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, page_bytes: u32, since: u64) {
            let scan = PageScan::new(page_bytes, Lsn(since));
            let _ = scan.select(&bytes, u32::MAX, &mut Vec::new());
            let _ = page_checksum(&bytes, page_bytes);
        }
    }
}
