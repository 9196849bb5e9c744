//! Fetching one log file.
//!
//! The file appears under its name only once it is complete and checked. It is not flushed: the server flushes what it keeps.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use codec::{Codec, Decoder, READ_ORDER};
use formats::layout;
use pgdata::{SegmentSize, WalFileName, WalSegmentHeader};
use storage::ErrorKind;
use tokio_util::sync::CancellationToken;

use super::CHUNK_BYTES;
use crate::bridge::{Driver, ObjectSource, on_worker, read_full};
use crate::error::{Error, Result, from_io};
use crate::repository::Repository;

/// Writes archived file `name` to `destination`, which must not exist. [`Error::NotArchived`] if there is none.
pub fn fetch(repository: &Repository, driver: &Driver, name: &str, destination: &Path) -> Result<()> {
    if destination.symlink_metadata().is_ok() {
        let error = std::io::ErrorKind::AlreadyExists.into();
        return Err(Error::file("creating", destination, error));
    }
    match open(repository, driver, &CancellationToken::new(), name)? {
        Some((key, codec, source)) => receive(repository, &key, codec, source, name, destination),
        None => Err(not_archived(repository, name)),
    }
}

/// Opens the object that holds archived file `name`, if there is one.
pub fn open(
    repository: &Repository,
    driver: &Driver,
    cancel: &CancellationToken,
    name: &str,
) -> Result<Option<(String, Codec, ObjectSource)>> {
    for codec in read_order(repository) {
        let key = layout::wal_key(name, codec.extension());
        match ObjectSource::open(driver, cancel, repository.store(), &key) {
            Err(Error::Storage(error)) if error.kind() == ErrorKind::NotFound => continue,
            source => return Ok(Some((key, codec, source?))),
        }
    }
    Ok(None)
}

/// Reads archived file `name` to its end, into nothing.
pub async fn read_to_end(repository: &Repository, name: &str, cancel: &CancellationToken) -> Result<()> {
    let driver = Driver::current(repository.store());
    let (repository, name, cancel) = (repository.clone(), name.to_owned(), cancel.clone());
    on_worker(move || {
        let opened = open(&repository, &driver, &cancel, &name)?;
        let (key, codec, source) = opened.ok_or_else(|| not_archived(&repository, &name))?;
        let broken = |error: std::io::Error| from_io(error, |error| Error::damaged(&key, error));
        let mut decoder = Decoder::new(codec, &repository.cipher, source).map_err(|error| broken(error.into()))?;
        std::io::copy(&mut decoder, &mut std::io::sink()).map(drop).map_err(broken)
    })
    .await
}

/// The object that holds archived file `name`, if there is one.
pub fn find(repository: &Repository, driver: &Driver, name: &str) -> Result<Option<(String, Codec)>> {
    for codec in read_order(repository) {
        let key = layout::wal_key(name, codec.extension());
        if driver.wait(repository.store().head(&key))?.is_some() {
            return Ok(Some((key, codec)));
        }
    }
    Ok(None)
}

/// The codec in force first: after a change of codecs the newer object is the one that counts.
pub(super) fn read_order(repository: &Repository) -> impl Iterator<Item = Codec> {
    let first = repository.compression.codec();
    std::iter::once(first).chain(READ_ORDER.into_iter().filter(move |codec| *codec != first))
}

fn not_archived(repository: &Repository, name: &str) -> Error {
    Error::NotArchived { name: name.to_owned(), storage: repository.store().describe() }
}

fn receive(
    repository: &Repository,
    key: &str,
    codec: Codec,
    source: ObjectSource,
    name: &str,
    destination: &Path,
) -> Result<()> {
    let temporary = temporary_path(destination);
    let outcome = write_out(repository, key, codec, source, name, &temporary);
    let renamed = outcome.and_then(|()| {
        std::fs::rename(&temporary, destination).map_err(|error| Error::file("creating", destination, error))
    });
    if renamed.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    renamed
}

fn write_out(
    repository: &Repository,
    key: &str,
    codec: Codec,
    source: ObjectSource,
    name: &str,
    path: &Path,
) -> Result<()> {
    let broken = |error: std::io::Error| from_io(error, |error| Error::damaged(key, error));
    let fail = |error| Error::file("writing", path, error);
    let mut decoder = Decoder::new(codec, &repository.cipher, source).map_err(|error| broken(error.into()))?;
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(fail)?;
    let mut buffer = vec![0; CHUNK_BYTES];
    let (mut bytes, mut header) = (0, None);
    loop {
        let count = read_full(&mut decoder, &mut buffer).map_err(broken)?;
        if count == 0 {
            break;
        }
        if bytes == 0 {
            header = WalSegmentHeader::parse(&buffer[..count]);
        }
        file.write_all(&buffer[..count]).map_err(fail)?;
        bytes += count as u64;
    }
    if matches!(WalFileName::classify(name), WalFileName::Segment { .. }) {
        refuse_cut_segment(key, codec, header, bytes)?;
    }
    Ok(())
}

/// Codecs without a checksum cannot tell that an object was cut. The size of a log segment can, and its first page says how
/// large it is meant to be.
fn refuse_cut_segment(key: &str, codec: Codec, header: Option<WalSegmentHeader>, bytes: u64) -> Result<()> {
    match header {
        Some(header) if header.segment_size.bytes() != bytes => {
            let why = format!("it holds {bytes} bytes of a log file of {}", header.segment_size.bytes());
            Err(Error::damaged(key, why))
        }
        None if matches!(codec, Codec::None | Codec::Brotli) => {
            SegmentSize::new(bytes).map(drop).map_err(|error| Error::damaged(key, error))
        }
        _ => Ok(()),
    }
}

fn temporary_path(destination: &Path) -> PathBuf {
    let mut name = destination.file_name().unwrap_or_default().to_owned();
    name.push(format!(".damson-{}", std::process::id()));
    destination.with_file_name(name)
}
