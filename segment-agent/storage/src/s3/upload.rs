//! Writing an object: one request when it is smaller than a part, a multipart upload otherwise.
//!
//! One part is filled while another one is on its way, so that two parts are in memory. An upload that fails or is
//! aborted waits for its parts in flight to end and then removes what was stored.

use super::client::Client;
use super::failure::Failure;
use crate::backend::Sink;
use crate::error::{ErrorKind, Result};
use crate::record::Operation;
use async_trait::async_trait;
use bytes::Bytes;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{Attribute, Attributes, ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// S3 takes no more parts per object than this.
const PARTS_MAX: u64 = 10_000;
/// After so many parts they double in size, so that an object larger than expected still fits.
const PARTS_PER_SIZE: usize = 2_000;
const PART_BYTES_MAX: u64 = 5 << 30;
/// How long an abort waits for the parts in flight before it gives up on them.
const ABORT_PATIENCE: Duration = Duration::from_secs(60);

type PartTask = JoinHandle<Result<PartId, Failure>>;

pub(super) struct S3Sink {
    target: Arc<Target>,
    runtime: Handle,
    first_part_bytes: u64,
    filling: Vec<Bytes>,
    filled_bytes: u64,
    total_bytes: u64,
    /// From the first part on, until completed or aborted.
    upload_id: Option<String>,
    in_flight: VecDeque<PartTask>,
    parts: Vec<PartId>,
    parts_begun: usize,
}

/// The object to be.
pub(super) struct Target {
    pub client: Arc<Client>,
    pub path: Path,
    pub location: String,
}

impl S3Sink {
    /// Must be called within a runtime, which also carries the parts in flight.
    pub(super) fn new(target: Target, expected_bytes: Option<u64>) -> Result<S3Sink, Failure> {
        let runtime = Handle::try_current()
            .map_err(|_| Failure::new(ErrorKind::Invalid, "an upload to S3 needs a runtime around it"))?;
        let first_part_bytes = first_part_bytes(target.client.settings.part_size_bytes, expected_bytes);
        Ok(S3Sink {
            target: Arc::new(target),
            runtime,
            first_part_bytes,
            filling: Vec::new(),
            filled_bytes: 0,
            total_bytes: 0,
            upload_id: None,
            in_flight: VecDeque::new(),
            parts: Vec::new(),
            parts_begun: 0,
        })
    }

    async fn append(&mut self, mut chunk: Bytes) -> Result<(), Failure> {
        self.total_bytes += chunk.len() as u64;
        while !chunk.is_empty() {
            let room = part_bytes(self.first_part_bytes, self.parts_begun) - self.filled_bytes;
            let taken = chunk.split_to(chunk.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            let is_full = taken.len() as u64 == room;
            self.filled_bytes += taken.len() as u64;
            self.filling.push(taken);
            if is_full {
                self.send_part().await?;
            }
        }
        Ok(())
    }

    /// Puts the filled part on its way, after making room for it.
    async fn send_part(&mut self) -> Result<(), Failure> {
        let id = match &self.upload_id {
            Some(id) => id.clone(),
            None => self.upload_id.insert(self.target.begin().await?).clone(),
        };
        while self.in_flight.len() >= self.target.client.settings.part_concurrency.max(1) {
            self.await_part().await?;
        }
        let payload = self.take_payload();
        let (target, index) = (self.target.clone(), self.parts_begun);
        self.parts_begun += 1;
        let part = async move { target.put_part(&id, index, payload).await };
        self.in_flight.push_back(self.runtime.spawn(part));
        Ok(())
    }

    async fn await_part(&mut self) -> Result<(), Failure> {
        let Some(task) = self.in_flight.front_mut() else { return Ok(()) };
        let ended = task.await;
        self.in_flight.pop_front();
        let stopped = |_| Failure::new(ErrorKind::Transient, "the upload of a part was stopped");
        self.parts.push(ended.map_err(stopped)??);
        Ok(())
    }

    fn take_payload(&mut self) -> PutPayload {
        self.filled_bytes = 0;
        PutPayload::from_iter(std::mem::take(&mut self.filling))
    }

    async fn complete(&mut self) -> Result<(), Failure> {
        let Some(id) = self.upload_id.clone() else {
            let payload = self.take_payload();
            return self.target.put(payload).await;
        };
        if self.filled_bytes > 0 {
            self.send_part().await?;
        }
        while !self.in_flight.is_empty() {
            self.await_part().await?;
        }
        self.target.complete(&id, &self.parts, self.total_bytes).await?;
        self.upload_id = None;
        Ok(())
    }
}

/// Removes the stored parts, after those in flight: one that the server stores after the abort stays for ever, and
/// cutting its connection does not tell whether it does.
async fn abort(target: &Target, in_flight: &mut VecDeque<PartTask>, id: &String) -> Result<(), Failure> {
    let patience = tokio::time::Instant::now() + ABORT_PATIENCE;
    while let Some(task) = in_flight.front_mut() {
        if tokio::time::timeout_at(patience, &mut *task).await.is_err() {
            task.abort();
        }
        in_flight.pop_front();
    }
    target.abort(id).await
}

#[async_trait]
impl Sink for S3Sink {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.append(chunk).await.map_err(|failure| self.target.error(failure, Operation::Write))
    }

    async fn finish(&mut self) -> Result<()> {
        self.complete().await.map_err(|failure| self.target.error(failure, Operation::Finish))
    }

    async fn abort(&mut self) -> Result<()> {
        // Kept until it worked, so that a drop meanwhile tries again.
        let Some(id) = &self.upload_id else { return Ok(()) };
        let aborted = abort(&self.target, &mut self.in_flight, id).await;
        aborted.map_err(|failure| self.target.error(failure, Operation::Abort))?;
        self.upload_id = None;
        Ok(())
    }
}

impl Drop for S3Sink {
    fn drop(&mut self) {
        let Some(id) = self.upload_id.take() else { return };
        let mut in_flight = std::mem::take(&mut self.in_flight);
        let target = self.target.clone();
        self.runtime.spawn(async move {
            if let Err(failure) = abort(&target, &mut in_flight, &id).await {
                tracing::warn!(object = %target.location, reason = %failure.reason, "an upload is left behind");
            }
        });
    }
}

impl Target {
    pub(super) async fn put(&self, payload: PutPayload) -> Result<(), Failure> {
        let attempt = || async {
            let options = PutOptions { attributes: self.attributes(), ..PutOptions::default() };
            self.client.connection().await?.bucket.put_opts(&self.path, payload.clone(), options).await?;
            Ok(())
        };
        self.client.run(attempt).await
    }

    async fn begin(&self) -> Result<String, Failure> {
        let attempt = || async {
            let options = PutMultipartOptions { attributes: self.attributes(), ..PutMultipartOptions::default() };
            Ok(self.client.connection().await?.bucket.create_multipart_opts(&self.path, options).await?)
        };
        self.client.run(attempt).await
    }

    async fn put_part(&self, id: &String, index: usize, payload: PutPayload) -> Result<PartId, Failure> {
        let attempt = || async {
            Ok(self.client.connection().await?.bucket.put_part(&self.path, id, index, payload.clone()).await?)
        };
        self.client.run(attempt).await
    }

    async fn complete(&self, id: &String, parts: &[PartId], total_bytes: u64) -> Result<(), Failure> {
        let attempt = || async {
            self.client.connection().await?.bucket.complete_multipart(&self.path, id, parts.to_vec()).await?;
            Ok(())
        };
        match self.client.run(attempt).await {
            // An earlier attempt may have worked and only its answer was lost.
            Err(failure) if failure.code == "NoSuchUpload" => {
                let attempt = || async { Ok(self.client.connection().await?.bucket.head(&self.path).await?) };
                match self.client.run(attempt).await {
                    Ok(meta) if meta.size == total_bytes => Ok(()),
                    _ => Err(failure),
                }
            }
            other => other,
        }
    }

    /// An upload that is gone already is no error.
    pub(super) async fn abort(&self, id: &String) -> Result<(), Failure> {
        let attempt = || async {
            self.client.connection().await?.bucket.abort_multipart(&self.path, id).await?;
            Ok(())
        };
        match self.client.run(attempt).await {
            Err(failure) if failure.code == "NoSuchUpload" || failure.kind == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn attributes(&self) -> Attributes {
        let mut attributes = Attributes::new();
        if let Some(class) = &self.client.settings.storage_class {
            attributes.insert(Attribute::StorageClass, class.clone().into());
        }
        attributes
    }

    fn error(&self, failure: Failure, operation: Operation) -> crate::Error {
        failure.into_error(operation, self.location.clone())
    }
}

/// Large enough for what is expected, with some parts to spare.
fn first_part_bytes(configured: u64, expected_bytes: Option<u64>) -> u64 {
    const MIB: u64 = 1 << 20;
    let needed = expected_bytes.unwrap_or(0).div_ceil(PARTS_MAX - 100).div_ceil(MIB) * MIB;
    // Within the first size step when it is exact, so that memory does not grow on the way.
    configured.max(needed).min(PART_BYTES_MAX)
}

fn part_bytes(first: u64, index: usize) -> u64 {
    let doublings = u32::try_from(index / PARTS_PER_SIZE).unwrap_or(u32::MAX);
    first.saturating_mul(1_u64.checked_shl(doublings).unwrap_or(u64::MAX)).min(PART_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_parts_suffice() {
        const TIB: u64 = 1 << 40;
        let capacity = |first: u64| (0..PARTS_MAX as usize).map(|index| part_bytes(first, index)).sum::<u64>();
        assert!(capacity(20 << 20) > TIB);
        for expected in [1, 200 << 30, TIB, 5 * TIB] {
            let first = first_part_bytes(20 << 20, Some(expected));
            assert!(first * PARTS_MAX >= expected, "{expected}");
            assert!(first == 20 << 20 || first < 600 << 20);
        }
        assert_eq!(first_part_bytes(20 << 20, None), 20 << 20);
        assert_eq!(part_bytes(20 << 20, 1_999), 20 << 20);
        assert_eq!(part_bytes(20 << 20, 2_000), 40 << 20);
        assert_eq!(part_bytes(5 << 30, 9_999), 5 << 30);
    }
}
