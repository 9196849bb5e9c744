//! The content of an object, resumed with a ranged request where a connection broke.

use super::client::{Client, pause};
use super::failure::Failure;
use crate::backend::Body;
use crate::error::{Error, ErrorKind, Result};
use crate::record::Operation;
use crate::retry::Attempts;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResult, ObjectStore};
use std::sync::Arc;

/// Pieces of the network are gathered to chunks of this size.
const CHUNK_BYTES: usize = 1 << 20;

pub(super) struct S3Body {
    client: Arc<Client>,
    path: Path,
    location: String,
    size: u64,
    /// Identifies the content, so that a resumed read cannot mix two versions of an object.
    etag: Option<String>,
    received: u64,
    stream: BoxStream<'static, object_store::Result<Bytes>>,
    attempts: Attempts,
}

impl S3Body {
    pub(super) async fn open(client: Arc<Client>, path: Path, location: String) -> Result<S3Body, Failure> {
        let result = client.run(|| get(&client, &path, GetOptions::default())).await?;
        let attempts = Attempts::new(&client.settings.retry);
        let (size, etag) = (result.meta.size, result.meta.e_tag.clone());
        Ok(S3Body { client, path, location, size, etag, received: 0, stream: result.into_stream(), attempts })
    }

    /// The next piece; reconnects until there is one or the end.
    async fn piece(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let failure = match self.stream.next().await {
                Some(Ok(piece)) if piece.is_empty() => continue,
                Some(Ok(piece)) => {
                    self.received += piece.len() as u64;
                    self.attempts.progressed();
                    return Ok(Some(piece));
                }
                None if self.received >= self.size => return Ok(None),
                None => Failure::new(ErrorKind::Transient, "the connection ended too early"),
                // All bytes are there: what became of the connection does not matter.
                Some(Err(_)) if self.received >= self.size => return Ok(None),
                Some(Err(error)) => Failure::from(error),
            };
            pause(&mut self.attempts, failure).await?;
            self.resume().await?;
        }
    }

    async fn resume(&mut self) -> Result<(), Failure> {
        loop {
            let options = GetOptions {
                range: Some(GetRange::Bounded(self.received..self.size)),
                if_match: self.etag.clone(),
                ..GetOptions::default()
            };
            match get(&self.client, &self.path, options).await {
                Ok(result) if result.meta.size == self.size && result.meta.e_tag == self.etag => {
                    self.stream = result.into_stream();
                    return Ok(());
                }
                Ok(_) => return Err(changed()),
                Err(failure) if failure.kind == ErrorKind::Corrupt => return Err(changed()),
                Err(failure) => pause(&mut self.attempts, failure).await?,
            }
        }
    }
}

async fn get(client: &Client, path: &Path, options: GetOptions) -> Result<GetResult, Failure> {
    Ok(client.connection().await?.bucket.get_opts(path, options).await?)
}

fn changed() -> Failure {
    Failure::new(ErrorKind::Corrupt, "the object was replaced while it was being read")
}

#[async_trait]
impl Body for S3Body {
    fn size(&self) -> u64 {
        self.size
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        let mut chunk = BytesMut::new();
        loop {
            let failed = |failure: Failure, location: &str| -> Error {
                failure.into_error(Operation::Read, location.to_owned())
            };
            match self.piece().await.map_err(|failure| failed(failure, &self.location))? {
                Some(piece) if chunk.is_empty() && piece.len() >= CHUNK_BYTES => return Ok(Some(piece)),
                Some(piece) => chunk.extend_from_slice(&piece),
                None if chunk.is_empty() => return Ok(None),
                None => return Ok(Some(chunk.freeze())),
            }
            if chunk.len() >= CHUNK_BYTES {
                return Ok(Some(chunk.freeze()));
            }
        }
    }
}
