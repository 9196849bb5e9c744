//! An object that is being written in chunks.

use crate::backend::Sink;
use crate::error::{Error, ErrorKind, Result};
use crate::record::Operation;
use crate::store::Watch;
use bytes::Bytes;

/// Nothing is visible under the key before [`Upload::finish`] returns.
///
/// After an error the upload is given up: its remains are removed, and every later call fails.
/// Dropping it does the same, except on S3 when no runtime is left to send the request: then the parts stay until
/// [`crate::Store::abort_stale_uploads`] or a lifecycle rule of the bucket removes them. Prefer [`Upload::abort`].
pub struct Upload {
    sink: Option<Box<dyn Sink>>,
    watch: Watch,
    key: String,
    bytes: u64,
}

impl Upload {
    pub(crate) fn new(sink: Box<dyn Sink>, watch: Watch, key: String) -> Upload {
        Upload { sink: Some(sink), watch, key, bytes: 0 }
    }

    /// Appends to the object. Waits when the storage is slower than the caller.
    pub async fn write(&mut self, chunk: Bytes) -> Result<()> {
        let fault = self.watch.begin(Operation::Write, &self.key);
        let Some(sink) = &mut self.sink else { return Err(self.given_up(Operation::Write)) };
        let length = chunk.len() as u64;
        let written = match fault {
            Ok(()) if chunk.is_empty() => Ok(()),
            Ok(()) => sink.write(chunk).await,
            Err(fault) => Err(fault),
        };
        if written.is_err() {
            self.give_up().await;
        } else {
            self.bytes += length;
        }
        written
    }

    /// Makes the object visible and durable; returns its size in bytes.
    pub async fn finish(self) -> Result<u64> {
        let bytes = self.bytes;
        self.finish_unless(std::future::pending()).await.map(|_| bytes)
    }

    /// [`Upload::finish`], given up when `stop` is over first: then its remains are removed, and there is no size.
    pub async fn finish_unless(mut self, stop: impl Future<Output = ()>) -> Result<Option<u64>> {
        let fault = self.watch.begin(Operation::Finish, &self.key);
        let Some(sink) = &mut self.sink else { return Err(self.given_up(Operation::Finish)) };
        let finished = match fault {
            Ok(()) => tokio::select! {
                biased;
                finished = sink.finish() => finished.map(|()| Some(self.bytes)),
                () = stop => Ok(None),
            },
            Err(fault) => Err(fault),
        };
        match finished {
            Ok(Some(bytes)) => Ok(Some(bytes)),
            Ok(None) => {
                self.give_up().await;
                Ok(None)
            }
            Err(error) => {
                self.give_up().await;
                Err(error)
            }
        }
    }

    /// Removes what was stored so far.
    pub async fn abort(mut self) -> Result<()> {
        self.watch.begin(Operation::Abort, &self.key)?;
        match &mut self.sink {
            Some(sink) => sink.abort().await,
            None => Ok(()),
        }
    }

    /// Cleans up after an error, which is what the caller gets to see.
    async fn give_up(&mut self) {
        if let Some(mut sink) = self.sink.take()
            && let Err(error) = sink.abort().await
        {
            tracing::warn!(%error, "an unfinished upload is left behind");
        }
    }

    fn given_up(&self, operation: Operation) -> Error {
        let reason = "the upload was given up after an earlier error";
        Error::new(ErrorKind::Invalid, operation, self.watch.locate(&self.key), reason)
    }
}
