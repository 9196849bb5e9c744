//! The pages of one relation file that go into a delta.
//!
//! Two passes: the first reads the whole file and keeps the numbers of the pages, the second reads those pages alone. What
//! changes between the two is in the log of this backup, so either content is right.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use formats::increment::PageIncrement;
use pgdata::PageScan;

use crate::error::{Error, Result};
use crate::pool::Pool;

/// Finds the pages of the first `bytes` of `file` that belong into the increment; `None` if a page is invalid, so that the file
/// must be stored whole. `buffer` holds at least one page.
pub fn changed_pages(
    file: &File,
    path: &Path,
    bytes: u64,
    scan: &PageScan,
    pool: &Pool,
    buffer: &mut [u8],
) -> Result<Option<PageIncrement>> {
    let page_bytes = scan.page_bytes() as usize;
    let room = buffer.len() - buffer.len() % page_bytes;
    let mut increment = PageIncrement { file_bytes: bytes, blocks: Vec::new() };
    let (mut offset, mut first) = (0, 0);
    while offset < bytes {
        let want = usize::try_from(bytes - offset).unwrap_or(room).min(room);
        let pages = &mut buffer[..want];
        let got = read_full_at(file, pages, offset).map_err(|error| Error::file("reading", path, error))?;
        pool.pace_disk(got as u64);
        if !scan.select(&pages[..got], first, &mut increment.blocks) {
            return Ok(None);
        }
        if got < want {
            break; // the file shrank: the log repairs it
        }
        offset += got as u64;
        first += (got / page_bytes) as u32;
    }
    Ok(Some(increment))
}

/// Hands the increment to `write`, head first; returns its BLAKE3. Pages that are gone by now become zeros.
pub fn write_increment(
    file: &File,
    path: &Path,
    increment: &PageIncrement,
    page_bytes: u32,
    pool: &Pool,
    buffer: &mut [u8],
    mut write: impl FnMut(&[u8]) -> Result<()>,
) -> Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    let head = increment.head();
    hasher.update(&head);
    write(&head)?;
    let longest = buffer.len() / page_bytes as usize;
    let mut left = increment.blocks.as_slice();
    while let Some(first) = left.first() {
        let run = left.iter().zip(*first..=u32::MAX).take(longest).take_while(|(block, next)| **block == *next).count();
        let pages = &mut buffer[..run * page_bytes as usize];
        let offset = u64::from(*first) * u64::from(page_bytes);
        let got = read_full_at(file, pages, offset).map_err(|error| Error::file("reading", path, error))?;
        pages[got..].fill(0);
        pool.pace_disk(got as u64);
        hasher.update(pages);
        write(pages)?;
        left = left.get(run.max(1)..).unwrap_or_default();
    }
    Ok(*hasher.finalize().as_bytes())
}

/// Reads until `buffer` is full or the file ends.
fn read_full_at(file: &File, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use pgdata::Lsn;

    use super::*;

    const PAGE: usize = 8192;

    fn page(lsn: u32, fill: u8) -> Vec<u8> {
        let mut page = vec![fill; PAGE];
        page[..24].fill(0);
        page[4..8].copy_from_slice(&lsn.to_le_bytes());
        for (at, value) in [(12, 24u16), (14, 8192), (16, 8192), (18, 8192 | 4)] {
            page[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        page
    }

    /// The increment of a file of these pages since position 100, as bytes; `is` of them are left when they are read again.
    fn increment(pages: &[Vec<u8>], is: usize) -> Option<(Vec<u32>, Vec<u8>)> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("16385");
        std::fs::write(&path, pages.concat()).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let (scan, pool) = (PageScan::new(PAGE as u32, Lsn(100)), Pool::with_workers(1));
        let mut buffer = vec![0; 3 * PAGE + 100];
        let bytes = (pages.len() * PAGE) as u64;
        let found = changed_pages(&file, &path, bytes, &scan, &pool, &mut buffer).unwrap()?;
        file.set_len((is * PAGE) as u64).unwrap();
        let mut written = Vec::new();
        let hash = write_increment(&file, &path, &found, PAGE as u32, &pool, &mut buffer, |piece| {
            written.extend(piece);
            Ok(())
        });
        assert_eq!(hash.unwrap(), *blake3::hash(&written).as_bytes());
        assert_eq!(written.len() as u64, found.stored_bytes(PAGE as u32));
        Some((found.blocks, written))
    }

    #[test]
    fn runs_of_pages_in_their_order() {
        let lsns = [100, 99, 101, 102, 103, 104, 105, 5, 5, 200];
        let pages: Vec<_> = lsns.iter().zip(1u8..).map(|(lsn, fill)| page(*lsn, fill)).collect();
        let (blocks, bytes) = increment(&pages, 10).unwrap();
        assert_eq!(blocks, [0, 2, 3, 4, 5, 6, 9]);
        let stored: Vec<_> = blocks.iter().flat_map(|block| pages[*block as usize].clone()).collect();
        assert_eq!(bytes[16 + 4 * blocks.len()..], stored);
    }

    #[test]
    fn no_change_and_no_pages() {
        assert_eq!(increment(&[page(99, 1)], 1).unwrap().1.len(), 16);
        assert!(increment(&[page(99, 1), vec![7; PAGE], page(99, 2)], 3).is_none());
        assert!(increment(&[page(0, 1)], 1).is_none(), "an unlogged relation has no positions");
        assert_eq!(increment(&[page(99, 1), vec![0; PAGE]], 2).unwrap().0, [1]);
    }

    #[test]
    fn a_file_that_shrinks_keeps_its_length() {
        let pages: Vec<_> = (0..8).map(|fill| page(100, fill)).collect();
        let (blocks, bytes) = increment(&pages, 5).unwrap();
        assert_eq!(blocks.len(), 8);
        assert!(bytes[bytes.len() - 3 * PAGE..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_file_shorter_than_it_was_walked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("16385");
        std::fs::write(&path, page(100, 1)).unwrap();
        let (scan, pool) = (PageScan::new(PAGE as u32, Lsn(100)), Pool::with_workers(1));
        let file = File::open(&path).unwrap();
        let found = changed_pages(&file, &path, 4 * PAGE as u64, &scan, &pool, &mut vec![0; 2 * PAGE]).unwrap();
        assert_eq!(found, Some(PageIncrement { file_bytes: 4 * PAGE as u64, blocks: vec![0] }));
    }
}
