//! Storing a file or a stream.
//!
//! Order: the object, which appears as a whole or not at all, then its integrity record. After any error, and when the caller is
//! gone, nothing appears and no unfinished upload is left.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use codec::{Compression, Encoder};
use segment_agent::bridge::{ObjectDigest, ObjectWriter, read_full};
use segment_agent::error::{Error, Result};

use crate::caller::Caller;
use crate::chunks::{Summing, Sums};
use crate::ending::{Ending, Follower};
use crate::key::FileKey;
use crate::record::Record;
use crate::session::Session;
use crate::stdin::Input;

const READ_BYTES: usize = 256 << 10;

/// `backup_data`: standard input to its end.
pub fn data(session: &Session, key: &str) -> Result<()> {
    let caller = Caller::current();
    let key = FileKey::of_path(Path::new(key))?;
    let mut stored = Stored::begin(session, &key)?;
    let mut follower = match session.destination.prove_input {
        true => Follower::of_name(&key.file),
        false => Follower::Opaque,
    };
    let mut input = Input::open(&session.cancel);
    while let Some(piece) = input.next()? {
        follower.update(&piece)?;
        stored.write(&piece)?;
    }
    let ending = follower.finish()?;
    caller.must_be_there()?;
    stored.finish(session, &key, ending)
}

/// `backup_file`: the file stays where it is.
pub fn file(session: &Session, path: &Path) -> Result<()> {
    file_as(session, path, &FileKey::of_path(path)?)
}

/// Stores the file at `path` under `key`.
pub fn file_as(session: &Session, path: &Path, key: &FileKey) -> Result<()> {
    let failed = |error| Error::file("reading", path, error);
    let mut file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let mut stored = Stored::begin(session, key)?;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = read_full(&mut file, &mut buffer).map_err(failed)?;
        if count == 0 {
            break;
        }
        stored.write(&buffer[..count])?;
    }
    if stored.summing_size() != size {
        let what = format!("{} changed while it was read", path.display());
        return Err(Error::refused(what, "run the same command again when nobody writes to it"));
    }
    stored.finish(session, key, Ending::File)
}

/// An object that is being written. Dropped, it leaves nothing.
struct Stored {
    object: String,
    encoder: Encoder<ObjectWriter>,
    summing: Summing,
}

impl Stored {
    fn begin(session: &Session, key: &FileKey) -> Result<Self> {
        let repository = &session.destination.repository;
        let compression = match Follower::is_compressed_name(&key.file) {
            true => Compression::None,
            false => repository.compression,
        };
        let object = key.object(compression.extension());
        let writer = ObjectWriter::start(&session.driver, &session.cancel, repository.store(), &object)?;
        let encoder =
            Encoder::new(compression, &repository.cipher, writer).map_err(|error| Error::damaged(&object, error))?;
        Ok(Self { object, encoder, summing: Summing::new() })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.summing.update(bytes);
        self.encoder.write_all(bytes).map_err(|error| storage_error(error, &self.object))
    }

    fn summing_size(&self) -> u64 {
        self.summing.size()
    }

    fn finish(self, session: &Session, key: &FileKey, ending: Ending) -> Result<()> {
        let Self { object, encoder, summing } = self;
        let writer = encoder.finish().map_err(|error| storage_error(error.into(), &object))?;
        let digest: ObjectDigest = writer.finish()?;
        let sums: Sums = summing.finish();
        Record::new(&object, digest, &sums, ending).store(session, key)?;
        tracing::info!("stored {key}: {} bytes as {} bytes", sums.size, digest.bytes);
        Ok(())
    }
}

/// The storage's own error, which an encoder hands on inside of its own.
fn storage_error(error: std::io::Error, object: &str) -> Error {
    segment_agent::error::from_io(error, |error| Error::damaged(object, error))
}
