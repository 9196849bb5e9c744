//! The integrity record beside each object: `<file>.integrity.json`.
//!
//! Written after the object, so that where a record is, the object was finished. It says what the file's bytes are, in all and
//! piece by piece, so that a restore hands on no piece that it has not proved.

use chrono::{DateTime, Utc};
use segment_agent::bridge::ObjectDigest;
use segment_agent::error::{Error, Result};
use serde::{Deserialize, Serialize};
use storage::ErrorKind;

use crate::chunks::Sums;
use crate::destination::absent;
use crate::ending::Ending;
use crate::key::FileKey;
use crate::session::Session;

const SUFFIX: &str = ".integrity.json";

/// The document. Hashes are BLAKE3 in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub version: u32,
    /// When the object was finished.
    pub created: DateTime<Utc>,
    /// Name of the object beside this record: the file's with the extension of the codec.
    pub object: String,
    /// Of the object.
    pub stored_size: u64,
    pub stored_blake3: String,
    /// Of the file.
    pub size: u64,
    pub blake3: String,
    /// Every piece but the last one has so many bytes.
    pub chunk_size: u64,
    /// The first 16 bytes of each piece's hash, one after the other.
    pub chunks: String,
    /// How the end of the stream is known to be its end.
    pub end: Ending,
}

impl Record {
    pub fn new(object: &str, stored: ObjectDigest, sums: &Sums, end: Ending) -> Self {
        Self {
            version: 1,
            created: Utc::now(),
            object: object.rsplit('/').next().unwrap_or(object).to_owned(),
            stored_size: stored.bytes,
            stored_blake3: hex::encode(stored.blake3),
            size: sums.size,
            blake3: sums.blake3.clone(),
            chunk_size: sums.chunk_size,
            chunks: hex::encode(&sums.chunks),
            end,
        }
    }

    pub fn store(&self, session: &Session, key: &FileKey) -> Result<()> {
        let body = serde_json::to_vec(self).map_err(|error| Error::damaged(key_of(key), error))?;
        session.wait(session.destination.repository.store().put(&key_of(key), body.into()))?;
        Ok(())
    }

    /// Nothing if there is none.
    pub fn find(session: &Session, key: &FileKey) -> Result<Option<Self>> {
        let record_key = key_of(key);
        let body = match session.wait(session.destination.repository.store().get(&record_key)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            body => body?,
        };
        let record: Self = serde_json::from_slice(&body).map_err(|error| Error::damaged(&record_key, error))?;
        record.check(key).map_err(|why| Error::damaged(&record_key, why))?;
        Ok(Some(record))
    }

    /// The sums that a restore compares with.
    pub fn sums(&self) -> Result<Sums> {
        let chunks = hex::decode(&self.chunks).map_err(|error| Error::damaged(&self.object, error))?;
        Ok(Sums { size: self.size, blake3: self.blake3.clone(), chunk_size: self.chunk_size, chunks })
    }

    fn check(&self, key: &FileKey) -> Result<(), &'static str> {
        if self.version != 1 {
            return Err("a newer version of this plugin wrote it");
        }
        let extension = self.object.strip_prefix(&key.file).ok_or("it names another file")?;
        if extension.contains('/') || !(extension.is_empty() || extension.starts_with('.')) {
            return Err("it names another file");
        }
        let chunks = self.size.checked_div(self.chunk_size).ok_or("its pieces are empty")?;
        let chunks = chunks + u64::from(!self.size.is_multiple_of(self.chunk_size));
        let digits = chunks.checked_mul(2 * crate::chunks::SUM_BYTES as u64).ok_or("its size is impossible")?;
        if self.chunks.len() as u64 != digits {
            return Err("it has too many or too few pieces");
        }
        Ok(())
    }
}

/// The file of an integrity record's key, nothing for another key.
pub fn file_of(key: &str) -> Option<&str> {
    key.strip_suffix(SUFFIX)
}

pub fn key_of(key: &FileKey) -> String {
    format!("{key}{SUFFIX}")
}

/// What is stored of a file: its object and, where there is one, its record.
pub fn find(session: &Session, key: &FileKey) -> Result<(String, Option<Record>)> {
    let destination = &session.destination;
    if let Some(record) = Record::find(session, key)? {
        return Ok((format!("{}/{}", key.folder, record.object), Some(record)));
    }
    let store = destination.repository.store();
    let plain = key.to_string();
    if destination.of_s3_plugin {
        return match session.wait(store.head(&plain))? {
            Some(_) => Ok((plain, None)),
            None => Err(absent(destination, &plain)),
        };
    }
    let objects = session.wait(store.list(&key.folder))?;
    let holds = |object: &str| codec::Codec::from_file_name(object).0 == plain || object == plain;
    let Some(object) = objects.into_iter().map(|object| object.key).find(|object| holds(object)) else {
        return Err(absent(destination, &plain));
    };
    if destination.restore_unproved {
        tracing::warn!("{object} has no integrity record and is restored as it is");
        return Ok((object, None));
    }
    let what = format!("{object} has no integrity record: it was never finished, or the record was deleted");
    Err(Error::refused(what, "use another backup; to restore it as it is, set the option restore_unproved: on"))
}
