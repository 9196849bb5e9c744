//! Restoring a file or a stream.
//!
//! With an integrity record every piece is proved before it is handed on: the callers ignore this program's exit code in several
//! cases, so a byte that is not the object's must never leave it. The storage takes up a broken download where it stopped.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

use codec::{Codec, Decoder};
use segment_agent::bridge::{ObjectSource, read_full};
use segment_agent::error::{Error, Result, from_io};

use crate::chunks::Sums;
use crate::key::FileKey;
use crate::record::{self, Record};
use crate::session::Session;

/// Bytes handed on at once where nothing has to be proved.
const PIECE_BYTES: usize = 256 << 10;

/// `restore_data`: everything, to standard output. A reader that closes early has what it wants.
pub fn data(session: &Session, key: &str) -> Result<()> {
    let mut output = std::io::stdout().lock();
    let key = FileKey::of_path(Path::new(key))?;
    let written = copy(session, &key, |piece| output.write_all(piece));
    match written.and_then(|()| output.flush().map_err(|error| wrote(&error))) {
        Err(Error::File { source, .. }) if source.kind() == ErrorKind::BrokenPipe => {
            tracing::info!("{key}: the reader has what it wanted");
            Ok(())
        }
        other => other,
    }
}

/// `restore_file`: under a temporary name, then renamed.
pub fn file(session: &Session, path: &Path) -> Result<()> {
    file_from(session, &FileKey::of_path(path)?, path)
}

/// Restores what is stored under `key` to `path`.
pub fn file_from(session: &Session, key: &FileKey, path: &Path) -> Result<()> {
    let temporary = path.with_file_name(format!(".{}.{}.damson", key.file, std::process::id()));
    let failed = |error| Error::file("writing", path, error);
    let mut file = File::create(&temporary).map_err(failed)?;
    let restored = copy(session, key, |piece| file.write_all(piece))
        .and_then(|()| file.sync_all().and_then(|()| std::fs::rename(&temporary, path)).map_err(failed));
    if restored.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    restored
}

/// `restore_data_subset`: the ranges that the offsets file names, one after the other.
pub fn subset(session: &Session, key: &str, offsets: &Path) -> Result<()> {
    let text = std::fs::read_to_string(offsets).map_err(|error| Error::file("reading", offsets, error))?;
    let ranges = parse_ranges(&text).ok_or_else(|| {
        let what = format!("{} is no list of ranges", offsets.display());
        Error::refused(what, "it reads COUNT START END START END ...")
    })?;
    let key = FileKey::of_path(Path::new(key))?;
    let mut output = std::io::stdout().lock();
    // Ranges need not be in order: each is a passage over the object.
    for (start, end) in ranges {
        let mut at = 0;
        copy(session, &key, |piece| {
            let (from, to) = (at, at + piece.len() as u64);
            at = to;
            let (first, last) = (start.clamp(from, to) - from, end.clamp(from, to) - from);
            match (usize::try_from(first), usize::try_from(last)) {
                (Ok(first), Ok(last)) if first < last => output.write_all(&piece[first..last]),
                _ => Ok(()),
            }
        })?;
        if at < end {
            let what = format!("{key} has {at} bytes and not the range to {end}");
            return Err(Error::refused(what, "the list of tables belongs to another backup"));
        }
    }
    output.flush().map_err(|error| wrote(&error))
}

fn parse_ranges(text: &str) -> Option<Vec<(u64, u64)>> {
    let mut numbers = text.split_whitespace().map(str::parse::<u64>);
    let count = numbers.next()?.ok()?;
    let rest: Vec<u64> = numbers.collect::<Result<_, _>>().ok()?;
    let ranges: Vec<(u64, u64)> = rest.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    let is_whole =
        rest.len().is_multiple_of(2) && ranges.len() as u64 == count && ranges.iter().all(|(start, end)| start <= end);
    is_whole.then_some(ranges)
}

/// Hands the file's bytes to `write`, piece by piece.
fn copy(session: &Session, key: &FileKey, write: impl FnMut(&[u8]) -> std::io::Result<()>) -> Result<()> {
    let (object, record) = record::find(session, key)?;
    read(session, key, &object, record.as_ref(), write)
}

/// Reads `object`, which holds the file of `key`, to its end. With a record everything is compared.
pub fn read(
    session: &Session,
    key: &FileKey,
    object: &str,
    record: Option<&Record>,
    mut write: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<()> {
    let sums = record.map(Record::sums).transpose()?;
    let repository = &session.destination.repository;
    let source = ObjectSource::open(&session.driver, &session.cancel, repository.store(), object)?;
    let damaged = |error: std::io::Error| from_io(error, |error| Error::damaged(object, error));
    let decoder = Decoder::new(codec_of(key, object), &repository.cipher, source);
    let mut decoder = decoder.map_err(|error| damaged(error.into()))?;
    let mut buffer = vec![0; sums.as_ref().map_or(Ok(PIECE_BYTES), Sums::chunk_bytes)?];
    let (mut index, mut size) = (0, 0);
    loop {
        let count = read_full(&mut decoder, &mut buffer).map_err(damaged)?;
        if count == 0 {
            break;
        }
        let piece = &buffer[..count];
        if let Some(sums) = &sums {
            sums.check_chunk(index, piece).map_err(|why| Error::damaged(object, why))?;
        }
        write(piece).map_err(|error| wrote(&error))?;
        (index, size) = (index + 1, size + count as u64);
    }
    match &sums {
        Some(sums) if sums.size != size => {
            Err(Error::damaged(object, format!("it has {size} bytes instead of {}", sums.size)))
        }
        _ => Ok(()),
    }
}

/// By the extension that the object has beyond the file's own name, which may end in one of gzip or zstd itself.
fn codec_of(key: &FileKey, object: &str) -> Codec {
    match object.strip_prefix(&key.to_string()) {
        None | Some("") => Codec::None,
        Some(extension) => Codec::from_file_name(&format!("file{extension}")).1,
    }
}

fn wrote(error: &std::io::Error) -> Error {
    Error::file("writing", "the restored data", std::io::Error::new(error.kind(), error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plg_030_ranges() {
        assert_eq!(parse_ranges("2 0 5 9 9"), Some(vec![(0, 5), (9, 9)]));
        assert_eq!(parse_ranges("0"), Some(Vec::new()));
        for wrong in ["", "1", "1 2", "2 0 5", "1 5 2", "1 a b", "1 0 5 6", "-1"] {
            assert_eq!(parse_ranges(wrong), None, "{wrong}");
        }
    }
}
