//! How much of a host the work may use: a byte budget and the number of workers that follows from it.
//!
//! All segments of a host share one [`Pool`]. A worker holds a [`Permit`] for as long as it holds buffers, that is for one
//! archive part, so memory is bounded by the budget however many segments there are.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use codec::Throttle;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};

/// Bytes that one worker needs beside its encoder: the read buffer, and what the upload holds.
const WORKER_BUFFERS: u64 = 4 << 20;

/// How often a waiting worker looks whether it was cancelled.
const CANCEL_CHECK: Duration = Duration::from_millis(100);

#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
    workers: usize,
    affordable: usize,
    disk: Option<Throttle>,
}

struct Shared {
    free: Mutex<usize>,
    freed: Condvar,
}

/// The right to run one worker.
pub struct Permit(Arc<Shared>);

impl Pool {
    /// As many workers as cores and budget allow, at least one. `encoder_bytes`: what the codec needs; `upload_bytes`: what an
    /// upload of the storage holds in memory.
    pub fn for_budget(budget_bytes: u64, encoder_bytes: u64, upload_bytes: u64) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let affordable = budget_bytes / (WORKER_BUFFERS + encoder_bytes + upload_bytes).max(1);
        let affordable = usize::try_from(affordable).unwrap_or(cores).max(1);
        Self { affordable, ..Self::with_workers(cores.min(affordable)) }
    }

    /// Workers that the budget would allow, were there cores enough.
    pub fn affordable(&self) -> usize {
        self.affordable
    }

    pub fn with_workers(workers: usize) -> Self {
        let workers = workers.max(1);
        let shared = Shared { free: Mutex::new(workers), freed: Condvar::new() };
        Self { shared: Arc::new(shared), workers, affordable: workers, disk: None }
    }

    /// Slows the reading of files down to so many bytes a second, all workers together.
    pub fn with_disk_limit(self, bytes_per_second: u64) -> Self {
        Self { disk: Some(Throttle::new(bytes_per_second)), ..self }
    }

    /// To be called for every piece that was read from a disk.
    pub fn pace_disk(&self, bytes: u64) {
        if let Some(throttle) = &self.disk {
            throttle.wait(bytes);
        }
    }

    /// Workers that may run at once.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// Waits for a place.
    pub fn acquire(&self, cancel: &CancellationToken) -> Result<Permit> {
        let mut free = self.shared.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            if *free > 0 {
                *free -= 1;
                return Ok(Permit(self.shared.clone()));
            }
            (free, _) = self.shared.freed.wait_timeout(free, CANCEL_CHECK).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_given_back() {
        let pool = Pool::with_workers(1);
        let cancel = CancellationToken::new();
        drop(pool.acquire(&cancel).unwrap());
        let held = pool.acquire(&cancel).unwrap();
        cancel.cancel();
        assert!(matches!(pool.acquire(&cancel), Err(Error::Cancelled)));
        drop(held);
    }

    #[test]
    fn a_small_budget_still_gives_one_worker() {
        assert_eq!(Pool::for_budget(1, 1 << 20, 0).workers(), 1);
    }
}
