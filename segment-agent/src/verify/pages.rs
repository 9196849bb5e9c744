//! Page checksums of relation files, as they stream by.
//!
//! What a wrong checksum means:
//! - A page whose position in the log lies between the backup's start and its end was being written while it was copied.
//!   Replay puts the whole page back from the log, so it is no damage.
//! - Every other page must have the right checksum, or be new (all of its header's upper bound 0).
//! - Free space and visibility maps are not looked at: the server itself replaces a map page whose checksum is wrong.
//! - Unlogged relations (those with an init fork) are emptied by recovery, so they are not looked at either.
//! - Greenplum keeps small append-optimized tables in files of the same names. Those hold no pages: a file in which not one
//!   page is well-formed is not looked at. Where any page is, all must be.

use pgdata::{ControlFile, Fork, Lsn, RelationPath, absolute_block, page_checksum, stored_checksum};

/// `wi1U`: how an increment begins.
pub const INCREMENT_MAGIC: [u8; 4] = *b"wi1U";
const INCREMENT_HEADER_BYTES: usize = 16;
/// Pages of a file of 1 GiB with pages of 1 KiB; an increment of more is no increment.
const MAX_BLOCKS: u32 = 1 << 20;

/// What the pages of one backup are held against.
#[derive(Clone, Copy)]
pub struct PageRules {
    pub page_bytes: u32,
    /// Whether the server wrote checksums.
    pub checksums: bool,
    pub start: Lsn,
    pub finish: Lsn,
}

impl PageRules {
    pub fn of(control: &ControlFile, start: Lsn, finish: Lsn) -> Self {
        Self { page_bytes: control.block_size, checksums: control.data_checksums, start, finish }
    }
}

/// Whether the pages of the file `path` (with a leading slash) can be judged by their checksums, and its place in its relation.
pub fn relation_of(path: &str) -> Option<RelationPath> {
    RelationPath::parse(path).filter(|relation| matches!(relation.file.fork, Fork::Main | Fork::Init))
}

/// Checks whole pages one after the other.
pub struct PageCheck {
    rules: PageRules,
    segment_number: u32,
    well_formed: u64,
    wrong: Vec<u32>,
    malformed: Vec<u32>,
}

impl PageCheck {
    pub fn new(rules: PageRules, segment_number: u32) -> Self {
        Self { rules, segment_number, well_formed: 0, wrong: Vec::new(), malformed: Vec::new() }
    }

    /// `block`: number of the page inside its file.
    pub fn page(&mut self, block: u32, page: &[u8]) {
        let field = |at: usize| page.get(at..at + 2).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
        if field(14) == 0 {
            return;
        }
        let right = page_checksum(page, absolute_block(self.segment_number, block, self.rules.page_bytes));
        if is_well_formed(&field, self.rules.page_bytes) {
            self.well_formed += 1;
            if stored_checksum(page) != right && !self.is_replayed(page) {
                self.wrong.push(block);
            }
        } else if stored_checksum(page) != right {
            self.malformed.push(block);
        }
    }

    /// Written while the backup was made: the log holds the whole page.
    fn is_replayed(&self, page: &[u8]) -> bool {
        let Some(bytes) = page.first_chunk::<8>() else { return false };
        let lsn = Lsn(u64::from_le_bytes(*bytes).rotate_left(32));
        (self.rules.start..self.rules.finish).contains(&lsn)
    }

    /// What is wrong, in words.
    pub fn finish(mut self) -> Option<String> {
        if self.well_formed > 0 {
            self.wrong.append(&mut self.malformed);
            self.wrong.sort_unstable();
        }
        let first = self.wrong.first()?;
        Some(match self.wrong.len() {
            1 => format!("page {first} has a wrong checksum"),
            count => format!("{count} pages have wrong checksums, the first of them page {first}"),
        })
    }
}

fn is_well_formed(field: &impl Fn(usize) -> u16, page_bytes: u32) -> bool {
    let (flags, lower, upper, special, size_version) = (field(10), field(12), field(14), field(16), field(18));
    flags & !7 == 0
        && lower >= 24
        && lower <= upper
        && upper <= special
        && u32::from(special) <= page_bytes
        && u32::from(size_version & 0xFF00) == page_bytes & 0xFF00
}

/// A relation file, whole or as an increment, cut into its pages.
pub struct PageStream {
    check: Option<PageCheck>,
    page_bytes: usize,
    /// What is not yet a whole page, header or list of blocks.
    rest: Vec<u8>,
    next_block: u32,
    increment: Option<IncrementState>,
}

enum IncrementState {
    Header,
    Blocks { count: u32, file_bytes: u64 },
    Pages(std::vec::IntoIter<u32>),
}

impl PageStream {
    /// `check`: nothing where pages cannot be judged; an increment's frame is checked all the same.
    pub fn new(page_bytes: u32, check: Option<PageCheck>, is_increment: bool) -> Self {
        let increment = is_increment.then_some(IncrementState::Header);
        Self { check, page_bytes: page_bytes as usize, rest: Vec::new(), next_block: 0, increment }
    }

    /// The next piece of the member. An error: the increment breaks its format.
    pub fn feed(&mut self, mut content: &[u8]) -> Result<(), String> {
        while !content.is_empty() {
            let wanted = self.wanted_bytes();
            if self.rest.is_empty() && content.len() >= wanted {
                let (piece, left) = content.split_at(wanted);
                self.take(piece)?;
                content = left;
                continue;
            }
            let count = (wanted - self.rest.len()).min(content.len());
            self.rest.extend_from_slice(&content[..count]);
            content = &content[count..];
            if self.rest.len() == wanted {
                let piece = std::mem::take(&mut self.rest);
                self.take(&piece)?;
                self.rest = piece;
                self.rest.clear();
            }
        }
        Ok(())
    }

    fn wanted_bytes(&self) -> usize {
        match &self.increment {
            Some(IncrementState::Header) => INCREMENT_HEADER_BYTES,
            Some(IncrementState::Blocks { count, .. }) => 4 * *count as usize,
            Some(IncrementState::Pages(_)) | None => self.page_bytes,
        }
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), String> {
        let block = match &mut self.increment {
            Some(IncrementState::Header) => {
                self.increment = Some(self.read_header(piece)?);
                return Ok(());
            }
            Some(IncrementState::Blocks { file_bytes, .. }) => {
                let blocks = read_blocks(piece, *file_bytes, self.page_bytes)?;
                self.increment = Some(IncrementState::Pages(blocks.into_iter()));
                return Ok(());
            }
            Some(IncrementState::Pages(blocks)) => {
                blocks.next().ok_or("the increment is longer than its list of pages")?
            }
            None => {
                self.next_block += 1;
                self.next_block - 1
            }
        };
        if let Some(check) = &mut self.check {
            check.page(block, piece);
        }
        Ok(())
    }

    fn read_header(&self, piece: &[u8]) -> Result<IncrementState, String> {
        let (Some(magic), Some(size), Some(count)) =
            (piece.first_chunk::<4>(), piece.get(4..12).and_then(|b| b.first_chunk()), piece.last_chunk::<4>())
        else {
            return Err("the increment is cut off in its header".to_owned());
        };
        let (file_bytes, count) = (u64::from_le_bytes(*size), u32::from_le_bytes(*count));
        if *magic != INCREMENT_MAGIC {
            return Err("the file is listed as an increment, but is none".to_owned());
        }
        if count > MAX_BLOCKS {
            return Err(format!("the increment says that it has {count} pages"));
        }
        Ok(match count {
            0 => IncrementState::Pages(Vec::new().into_iter()),
            _ => IncrementState::Blocks { count, file_bytes },
        })
    }

    /// What is wrong with the pages. An error: the increment breaks its format.
    pub fn finish(self) -> Result<Option<String>, String> {
        match &self.increment {
            None => {}
            Some(IncrementState::Pages(blocks)) if blocks.len() == 0 && self.rest.is_empty() => {}
            Some(_) => return Err("the increment is cut off".to_owned()),
        }
        Ok(self.check.and_then(PageCheck::finish))
    }
}

/// Numbers ascend. A file that grew while it was read may have pages beyond its noted size, but no relation file exceeds 1 GiB.
fn read_blocks(piece: &[u8], file_bytes: u64, page_bytes: usize) -> Result<Vec<u32>, String> {
    let blocks: Vec<u32> = piece.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
    if !blocks.is_sorted_by(|a, b| a < b) {
        return Err("the increment's list of pages is not in order".to_owned());
    }
    let limit = (file_bytes.max(1 << 30) / page_bytes.max(1) as u64) as u32;
    match blocks.last() {
        Some(last) if *last >= limit => Err(format!("the increment has a page {last}, beyond any file")),
        _ => Ok(blocks),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u32 = 8192;

    fn rules() -> PageRules {
        PageRules { page_bytes: SIZE, checksums: true, start: Lsn(100), finish: Lsn(200) }
    }

    /// A page last changed at `lsn`, with its right checksum.
    fn page(block: u32, lsn: u32) -> Vec<u8> {
        let mut page = vec![7; SIZE as usize];
        page[..24].fill(0);
        page[4..8].copy_from_slice(&lsn.to_le_bytes());
        for (at, value) in [(12, 24_u16), (14, 8192), (16, 8192), (18, 8192 | 4)] {
            page[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        let sum = page_checksum(&page, block);
        page[8..10].copy_from_slice(&sum.to_le_bytes());
        page
    }

    fn judged(pages: &[Vec<u8>]) -> Option<String> {
        let mut stream = PageStream::new(SIZE, Some(PageCheck::new(rules(), 0)), false);
        // In odd pieces, as they come from an archive.
        for piece in pages.concat().chunks(1000) {
            stream.feed(piece).unwrap();
        }
        stream.finish().unwrap()
    }

    fn changed(mut page: Vec<u8>, at: usize) -> Vec<u8> {
        page[at] ^= 0x40;
        page
    }

    #[test]
    fn a_changed_byte_is_found_unless_the_log_brings_the_page_back() {
        assert_eq!(judged(&[page(0, 50), page(1, 150), page(2, 99), vec![0; 8192]]), None);
        for at in [30, 8191, 9, 12, 19] {
            let told = judged(&[page(0, 50), changed(page(1, 50), at)]).unwrap();
            assert!(told.starts_with("page 1 "), "byte {at}: {told}");
        }
        assert_eq!(judged(&[page(0, 50), changed(page(1, 150), 4000)]), None, "written during the backup");
        assert!(judged(&[page(0, 50), changed(page(1, 200), 4000)]).is_some(), "not yet written when it ended");
        assert!(judged(&[page(0, 50), page(0, 50)]).is_some(), "a page in the place of another");
    }

    #[test]
    fn a_file_without_any_page_is_no_relation_of_pages() {
        assert_eq!(judged(&[vec![0x5A; 8192], vec![0x33; 8192]]), None);
        assert!(judged(&[vec![0x5A; 8192], page(1, 50)]).is_some());
    }

    fn increment(file_bytes: u64, blocks: &[u32], pages: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = INCREMENT_MAGIC.to_vec();
        bytes.extend(file_bytes.to_le_bytes());
        bytes.extend((blocks.len() as u32).to_le_bytes());
        blocks.iter().for_each(|block| bytes.extend(block.to_le_bytes()));
        bytes.extend(pages.concat());
        bytes
    }

    fn read(bytes: &[u8], piece: usize) -> Result<Option<String>, String> {
        let mut stream = PageStream::new(SIZE, Some(PageCheck::new(rules(), 1)), true);
        bytes.chunks(piece).try_for_each(|piece| stream.feed(piece))?;
        stream.finish()
    }

    #[test]
    fn increments_are_checked_page_by_page() {
        let per_file = (1 << 30) / SIZE;
        let good = increment(5 * 8192, &[1, 4], &[page(per_file + 1, 120), page(per_file + 4, 50)]);
        for piece in [1, 7, 8192, 100_000] {
            assert_eq!(read(&good, piece), Ok(None), "{piece}");
        }
        assert!(read(&changed(good.clone(), good.len() - 1), 512).unwrap().unwrap().starts_with("page 4 "));
        for end in [0, 3, 15, 16, 20, 24, 25, good.len() - 1] {
            assert!(read(&good[..end], 512).is_err(), "{end} bytes");
        }
        assert!(read(&[good, vec![0; 8192]].concat(), 512).is_err(), "longer than its list");
        assert_eq!(read(&increment(8192, &[], &[]), 512), Ok(None));
        assert!(read(&increment(8192, &[4, 1], &[page(0, 1), page(0, 1)]), 512).is_err());
        assert!(read(&increment(8192, &[200_000], &[page(0, 1)]), 512).is_err());
        assert!(read(&changed(increment(8192, &[], &[]), 2), 512).is_err());
    }

    #[test]
    fn maps_and_other_files_are_not_judged() {
        assert!(relation_of("/base/5/16384.2").is_some() && relation_of("/base/5/16384_init").is_some());
        for path in ["/base/5/16384_fsm", "/base/5/16384_vm", "/base/5/PG_VERSION", "/pg_xact/0000"] {
            assert_eq!(relation_of(path), None, "{path}");
        }
    }
}
