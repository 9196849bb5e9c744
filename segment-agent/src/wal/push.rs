//! Storing one log file.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use codec::{Codec, Decoder, Encoder};
use formats::layout;
use pgdata::WalFileName;
use tokio_util::sync::CancellationToken;

use super::CHUNK_BYTES;
use super::fetch::find;
use crate::bridge::{Driver, ObjectSource, ObjectWriter, read_full};
use crate::error::{Error, Result, from_io};
use crate::repository::Repository;

#[derive(Clone, Copy, Debug, Default)]
pub struct PushOptions {
    /// Compare with what is archived under the same name already, and refuse to replace other content. History files are
    /// always compared.
    pub prevent_overwrite: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    Stored,
    /// The same content was archived already.
    Same,
}

/// Stores the file at `path` under its own name; returns once it is durable.
pub fn push(repository: &Repository, driver: &Driver, path: &Path, options: PushOptions) -> Result<Pushed> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
        Error::refused(
            format!("{} does not end in a file name", path.display()),
            "give the path of a log file: archive_command = '... %p ...'",
        )
    })?;
    let mut file = File::open(path).map_err(|error| Error::file("opening the log file", path, error))?;
    let guarded = options.prevent_overwrite || WalFileName::classify(name).is_history();
    if guarded && let Some((key, codec)) = find(repository, driver, name)? {
        return compare(repository, driver, &key, codec, &mut file, path);
    }
    store(repository, driver, name, &mut file, path)?;
    Ok(Pushed::Stored)
}

fn store(repository: &Repository, driver: &Driver, name: &str, file: &mut File, path: &Path) -> Result<()> {
    let key = layout::wal_key(name, repository.compression.extension());
    let broken = |error: std::io::Error| from_io(error, |error| Error::damaged(&key, error));
    let object = ObjectWriter::start(driver, &CancellationToken::new(), repository.store(), &key)?;
    let mut encoder =
        Encoder::new(repository.compression, &repository.cipher, object).map_err(|error| broken(error.into()))?;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let filled = read_full(file, &mut buffer).map_err(|error| Error::file("reading the log file", path, error))?;
        if filled == 0 {
            break;
        }
        encoder.write_all(&buffer[..filled]).map_err(broken)?;
    }
    encoder.finish().map_err(|error| broken(error.into()))?.finish()?;
    Ok(())
}

/// Whether the archived object holds what `file` holds.
fn compare(
    repository: &Repository,
    driver: &Driver,
    key: &str,
    codec: Codec,
    file: &mut File,
    path: &Path,
) -> Result<Pushed> {
    let broken = |error: std::io::Error| from_io(error, |error| Error::damaged(key, error));
    let source = ObjectSource::open(driver, &CancellationToken::new(), repository.store(), key)?;
    let mut archived = Decoder::new(codec, &repository.cipher, source).map_err(|error| broken(error.into()))?;
    let (mut ours, mut theirs) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    loop {
        let count = read_full(file, &mut ours).map_err(|error| Error::file("reading the log file", path, error))?;
        let archived_count = read_full(&mut archived, &mut theirs).map_err(broken)?;
        if ours[..count] != theirs[..archived_count] {
            let what = format!("{} is archived already as {key}, with other content", path.display());
            return Err(Error::refused(
                what,
                "two servers write to one archive, or history was rewritten: give each server its own storage prefix",
            ));
        }
        if count == 0 {
            return Ok(Pushed::Same);
        }
    }
}
