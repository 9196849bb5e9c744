//! Writing an object: one request when it is smaller than a part, a multipart upload otherwise.
//!
//! One part is filled while another one is on its way, so that two parts are in memory. An upload that fails or is
//! aborted waits for its parts in flight to end and then removes what was stored.

use super::failure::Failure;
use super::target::Target;
use crate::backend::Sink;
use crate::error::{ErrorKind, Result};
use crate::record::Operation;
use async_trait::async_trait;
use bytes::Bytes;
use object_store::PutPayload;
use object_store::multipart::PartId;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// S3 takes no more parts per object than this.
const PARTS_MAX: u64 = 10_000;
/// How many parts have one size when nothing is known, so that an object of any size fits.
const PARTS_PER_SIZE: usize = 2_000;
const PART_BYTES_MAX: u64 = 5 << 30;
/// How long an abort waits for the parts in flight before it gives up on them: shorter than a process that was told to end
/// is given, for the abort itself comes after.
const ABORT_PATIENCE: Duration = Duration::from_secs(10);

type PartTask = JoinHandle<Result<PartId, Failure>>;

pub(super) struct S3Sink {
    target: Arc<Target>,
    runtime: Handle,
    sizes: PartSizes,
    filling: Vec<Bytes>,
    filled_bytes: u64,
    total_bytes: u64,
    /// From the first part on, until completed or aborted.
    upload_id: Option<String>,
    in_flight: VecDeque<PartTask>,
    parts: Vec<PartId>,
    parts_begun: usize,
}

impl S3Sink {
    /// Must be called within a runtime, which also carries the parts in flight.
    pub(super) fn new(target: Target, expected_bytes: Option<u64>) -> Result<S3Sink, Failure> {
        let runtime = Handle::try_current()
            .map_err(|_| Failure::new(ErrorKind::Invalid, "an upload to S3 needs a runtime around it"))?;
        let sizes = PartSizes::new(target.client.settings.part_size_bytes, expected_bytes);
        Ok(S3Sink {
            target: Arc::new(target),
            runtime,
            sizes,
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
            let room = self.sizes.bytes(self.parts_begun) - self.filled_bytes;
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

/// How large the parts of one upload are.
#[derive(Debug, Clone, Copy)]
struct PartSizes {
    first_bytes: u64,
    /// So many parts are of the first size; then the size doubles, and again after each further `PARTS_PER_SIZE`.
    steady_parts: usize,
}

impl PartSizes {
    /// What is expected fits into half of the parts, all of one size; the other half is for what was not expected.
    fn new(configured_bytes: u64, expected_bytes: Option<u64>) -> PartSizes {
        const MIB: u64 = 1 << 20;
        let expected = expected_bytes.unwrap_or(0);
        let needed = expected.div_ceil(PARTS_MAX / 2).div_ceil(MIB).saturating_mul(MIB);
        let first_bytes = configured_bytes.max(needed).min(PART_BYTES_MAX);
        let expected_parts = usize::try_from(expected.div_ceil(first_bytes)).unwrap_or(usize::MAX);
        PartSizes { first_bytes, steady_parts: expected_parts.max(PARTS_PER_SIZE) }
    }

    fn bytes(&self, index: usize) -> u64 {
        let beyond = index.checked_sub(self.steady_parts);
        let doublings = beyond.map_or(0, |beyond| beyond / PARTS_PER_SIZE + 1);
        let factor = u32::try_from(doublings).ok().and_then(|doublings| 1_u64.checked_shl(doublings));
        self.first_bytes.saturating_mul(factor.unwrap_or(u64::MAX)).min(PART_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIB: u64 = 1 << 40;

    fn capacity(sizes: PartSizes) -> u64 {
        (0..PARTS_MAX as usize).map(|index| sizes.bytes(index)).sum()
    }

    #[test]
    fn ten_thousand_parts_suffice_with_and_without_a_hint() {
        let default = 20 << 20;
        assert!(capacity(PartSizes::new(default, None)) > TIB);
        for expected in [0, 1, 100 << 30, TIB, 5 * TIB] {
            let sizes = PartSizes::new(default, Some(expected));
            let parts = expected.div_ceil(sizes.first_bytes) as usize;
            assert!(parts <= 5_000 && sizes.bytes(parts.saturating_sub(1)) == sizes.first_bytes, "{expected}");
            assert!(capacity(sizes) >= 3 * expected.min(TIB), "{expected}");
        }
        assert_eq!(PartSizes::new(default, Some(1 << 30)).first_bytes, default);
        assert_eq!(PartSizes::new(default, Some(u64::MAX)).first_bytes, PART_BYTES_MAX);
    }

    #[test]
    fn parts_double_after_the_expected_ones() {
        let sizes = PartSizes::new(20 << 20, None);
        assert_eq!([0, 1_999, 2_000, 3_999, 4_000].map(|index| sizes.bytes(index) >> 20), [20, 20, 40, 40, 80]);
        assert_eq!(PartSizes::new(5 << 30, None).bytes(9_999), 5 << 30);
    }
}
