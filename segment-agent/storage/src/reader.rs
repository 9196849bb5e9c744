//! An object opened for reading.

use crate::backend::Body;
use crate::error::{Error, ErrorKind, Result};
use crate::record::Operation;
use crate::store::Watch;
use bytes::Bytes;

/// Delivers the content of one object in chunks of at most 1 MiB. A broken connection is resumed where it broke, and the
/// end is only reported after exactly [`ObjectReader::size`] bytes.
pub struct ObjectReader {
    body: Box<dyn Body>,
    watch: Watch,
    key: String,
    delivered: u64,
}

impl ObjectReader {
    pub(crate) fn new(body: Box<dyn Body>, watch: Watch, key: String) -> ObjectReader {
        ObjectReader { body, watch, key, delivered: 0 }
    }

    /// Size of the whole object in bytes.
    pub fn size(&self) -> u64 {
        self.body.size()
    }

    /// The next chunk (never empty), or `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        self.watch.begin(Operation::Chunk, &self.key)?;
        let chunk = self.body.next().await?;
        self.delivered += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        let size = self.size();
        if self.delivered > size || (chunk.is_none() && self.delivered < size) {
            let reason = format!("{} bytes arrived of an object of {size} bytes", self.delivered);
            return Err(Error::new(ErrorKind::Corrupt, Operation::Read, self.watch.locate(&self.key), reason));
        }
        Ok(chunk)
    }
}
