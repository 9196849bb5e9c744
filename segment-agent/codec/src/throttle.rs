//! A token bucket that several threads share to stay below a byte rate.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Added to one second's worth of bytes to form the burst, as in WAL-G.
const BURST_EXTRA_BYTES: f64 = 64.0 * 1024.0;

/// At most `bytes_per_second` on average, with a burst of one second's worth plus 64 KiB. Clones share the bucket.
#[derive(Clone, Debug)]
pub struct Throttle {
    bytes_per_second: f64,
    bucket: Arc<Mutex<Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    /// Bytes that may pass at once; below zero, later callers wait for what earlier ones took.
    tokens: f64,
    filled_at: Instant,
}

impl Throttle {
    /// A full bucket. A rate of 0 counts as 1 byte per second: no limit is expressed by having no throttle.
    pub fn new(bytes_per_second: u64) -> Throttle {
        let bytes_per_second = bytes_per_second.max(1) as f64;
        let tokens = bytes_per_second + BURST_EXTRA_BYTES;
        Throttle { bytes_per_second, bucket: Arc::new(Mutex::new(Bucket { tokens, filled_at: Instant::now() })) }
    }

    /// Takes `bytes` out of the bucket and tells how long to wait before they may pass.
    pub fn reserve(&self, bytes: u64) -> Duration {
        self.reserve_at(Instant::now(), bytes)
    }

    /// Takes `bytes` out of the bucket and blocks this thread until they may pass.
    pub fn wait(&self, bytes: u64) {
        let delay = self.reserve(bytes);
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
    }

    fn reserve_at(&self, now: Instant, bytes: u64) -> Duration {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = now.saturating_duration_since(bucket.filled_at).as_secs_f64();
        let burst = self.bytes_per_second + BURST_EXTRA_BYTES;
        bucket.tokens = (bucket.tokens + elapsed * self.bytes_per_second).min(burst) - bytes as f64;
        bucket.filled_at = bucket.filled_at.max(now);
        let missing_seconds = (-bucket.tokens / self.bytes_per_second).max(0.0);
        Duration::try_from_secs_f64(missing_seconds).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_burst_passes_and_then_the_rate_rules() {
        let throttle = Throttle::new(1_000_000);
        let start = throttle.bucket.lock().unwrap().filled_at;
        assert_eq!(throttle.reserve_at(start, 1_000_000 + 65_536), Duration::ZERO);
        assert_eq!(throttle.reserve_at(start, 500_000), Duration::from_millis(500));
        assert_eq!(throttle.clone().reserve_at(start, 500_000), Duration::from_secs(1));
        let later = start + Duration::from_secs(1);
        assert_eq!(throttle.reserve_at(later, 0), Duration::ZERO);
        assert_eq!(throttle.reserve_at(later, 250_000), Duration::from_millis(250));
    }

    #[test]
    fn an_idle_bucket_does_not_overflow() {
        let throttle = Throttle::new(1000);
        let later = throttle.bucket.lock().unwrap().filled_at + Duration::from_secs(3600);
        assert_eq!(throttle.reserve_at(later, 1000 + 65_536), Duration::ZERO);
        assert_eq!(throttle.reserve_at(later, 1000), Duration::from_secs(1));
    }
}
