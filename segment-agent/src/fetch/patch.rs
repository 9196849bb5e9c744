//! Increments of heap files: the pages that changed, written into the file that a lower level restored.
//!
//! Everything that can be known before a byte is written is checked: a wrong increment must not spoil a right file unnoticed.

use std::io::{BufReader, Read};

use formats::increment::{IncrementError, PageIncrement};

use super::extract::Extraction;
use super::write::{Checks, Content, Incoming, WRITE_BYTES};
use crate::error::{Error, Result, from_io};

/// A relation's file ends here and goes on in the next one, unless it is larger already.
const SEGMENT_BYTES: u64 = 1 << 30;

/// Applies the increment that `read` gives, `incoming.bytes` long, and returns its bytes and their hashes. `key` is the archive.
pub fn apply(
    extraction: &Extraction,
    incoming: &Incoming<'_>,
    key: &str,
    mut checks: Checks,
    read: &mut impl FnMut(&mut [u8]) -> Result<usize>,
) -> Result<(u64, Checks)> {
    let hashed = Content(|part: &mut [u8]| {
        let count = read(part)?;
        checks.update(&part[..count]);
        Ok(count)
    });
    let mut reader = BufReader::with_capacity(WRITE_BYTES, hashed);
    let damaged = |why: &dyn std::fmt::Display| Error::damaged(key, format!("increment of {}: {why}", incoming.name));
    let (head, page_bytes) = PageIncrement::read(&mut reader, incoming.bytes).map_err(|error| match error {
        IncrementError::Read(error) => from_io(error, |error| damaged(&error)),
        other => damaged(&other),
    })?;
    check(&head, page_bytes.into()).map_err(|why| damaged(&why))?;
    let file = extraction.target.open_file(incoming.name)?;
    file.resize(head.file_bytes)?;
    let page = page_bytes as usize;
    let mut buffer = vec![0; WRITE_BYTES.max(page)];
    for run in runs(&head.blocks, buffer.len() / page.max(1)) {
        let pages = &mut buffer[..run.len() * page];
        reader.read_exact(pages).map_err(|error| from_io(error, |error| damaged(&error)))?;
        file.write_at(pages, u64::from(run[0]) * u64::from(page_bytes))?;
        extraction.monitor.add_done(pages.len() as u64);
    }
    if reader.read(&mut buffer[..1]).map_err(|error| from_io(error, |error| damaged(&error)))? != 0 {
        return Err(damaged(&"it goes on after its last page"));
    }
    drop(reader);
    file.seal(incoming.mode)?;
    Ok((incoming.bytes, checks))
}

/// What the head alone cannot tell.
fn check(head: &PageIncrement, page_bytes: u64) -> Result<(), String> {
    let size = head.file_bytes;
    if i64::try_from(size).is_err() || (page_bytes > 0 && !size.is_multiple_of(page_bytes)) {
        return Err(format!("a file of {size} bytes does not consist of pages of {page_bytes} bytes"));
    }
    // A file that grew while it was read has pages beyond the size that was noted; replay of the log wants them or cuts them.
    let limit = size.max(SEGMENT_BYTES);
    match head.blocks.last() {
        Some(last) if (u64::from(*last) + 1) * page_bytes > limit => {
            Err(format!("page {last} lies beyond the end of any file"))
        }
        _ => Ok(()),
    }
}

/// Neighbouring blocks, to be written at once, `longest` at most.
fn runs(blocks: &[u32], longest: usize) -> impl Iterator<Item = &[u32]> {
    let mut rest = blocks;
    std::iter::from_fn(move || {
        let first = *rest.first()?;
        let follows = |(at, block): (usize, &u32)| u64::from(*block) == u64::from(first) + at as u64;
        let length = rest.iter().take(longest).enumerate().take_while(|pair| follows(*pair)).count();
        let (run, after) = rest.split_at(length);
        rest = after;
        Some(run)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_blocks_must_fit() {
        let check = |file_bytes: u64, blocks: &[u32], page| {
            check(&PageIncrement { file_bytes, blocks: blocks.to_vec() }, page).is_ok()
        };
        assert!(check(65536, &[1, 7], 8192) && check(8193, &[], 0) && check(0, &[], 0));
        // Grown after it was noted.
        assert!(check(8192, &[0, 4], 8192));
        assert!(!check(65537, &[1], 8192) && !check(u64::MAX, &[], 0) && !check(65536, &[u32::MAX], 8192));
    }

    #[test]
    fn neighbours_are_written_at_once() {
        let runs: Vec<_> = runs(&[0, 1, 2, 3, 7, 9, 10], 3).collect();
        assert_eq!(runs, [&[0, 1, 2][..], &[3], &[7], &[9, 10]]);
        assert_eq!(super::runs(&[], 3).count(), 0);
    }
}
