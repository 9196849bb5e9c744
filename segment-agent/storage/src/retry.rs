//! Waiting between attempts: exponential back-off with full jitter under one deadline for the whole operation.

use std::time::{Duration, Instant};

/// How long an operation is tried. The deadline is over all attempts; reaching it stops further ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts after the first one.
    pub retries_max: u32,
    /// The first wait is between nothing and this.
    pub delay_min: Duration,
    pub delay_max: Duration,
    /// When the storage asks to slow down, the wait is at least this.
    pub throttle_delay_min: Duration,
    pub throttle_delay_max: Duration,
    /// From the beginning of the operation, or from its last progress when it is a long read.
    pub deadline: Duration,
}

impl Default for RetryPolicy {
    /// WAL-G's counts and throttling delays.
    fn default() -> RetryPolicy {
        RetryPolicy {
            retries_max: 15,
            delay_min: Duration::from_millis(100),
            delay_max: Duration::from_secs(20),
            throttle_delay_min: Duration::from_millis(500),
            throttle_delay_max: Duration::from_secs(300),
            deadline: Duration::from_secs(15 * 60),
        }
    }
}

/// The attempts of one operation.
#[derive(Debug)]
pub(crate) struct Attempts {
    policy: RetryPolicy,
    started: Instant,
    failures: u32,
}

impl Attempts {
    pub(crate) fn new(policy: &RetryPolicy) -> Attempts {
        Attempts { policy: policy.clone(), started: Instant::now(), failures: 0 }
    }

    /// Counts a failed attempt: the time to wait before the next one, or `None` when it is time to give up.
    pub(crate) fn after_failure(&mut self, throttled: bool) -> Option<Duration> {
        self.failures += 1;
        let delay = self.delay(throttled);
        let in_time = self.started.elapsed().saturating_add(delay) < self.policy.deadline;
        (self.failures <= self.policy.retries_max && in_time).then_some(delay)
    }

    /// A long operation moved on: it has all its attempts again.
    pub(crate) fn progressed(&mut self) {
        self.started = Instant::now();
        self.failures = 0;
    }

    /// For the message when giving up.
    pub(crate) fn summary(&self) -> String {
        format!("gave up after {} attempts in {:.1} s", self.failures, self.started.elapsed().as_secs_f64())
    }

    fn delay(&self, throttled: bool) -> Duration {
        let policy = &self.policy;
        let doubled = |first: Duration, last: Duration| {
            first.saturating_mul(1_u32.checked_shl(self.failures - 1).unwrap_or(u32::MAX)).min(last)
        };
        if throttled {
            let longest = doubled(policy.throttle_delay_min, policy.throttle_delay_max);
            jitter(policy.throttle_delay_min.min(longest), longest)
        } else {
            jitter(Duration::ZERO, doubled(policy.delay_min, policy.delay_max))
        }
    }
}

fn jitter(shortest: Duration, longest: Duration) -> Duration {
    let spread = longest.saturating_sub(shortest);
    shortest + spread.mul_f64(rand::random::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_within_their_bounds() {
        for _ in 0..100 {
            let mut attempts = Attempts::new(&RetryPolicy::default());
            for longest in [100, 200, 400, 800] {
                assert!(attempts.after_failure(false).unwrap() <= Duration::from_millis(longest));
            }
            for _ in 0..10 {
                let delay = attempts.after_failure(true).unwrap();
                assert!(delay >= Duration::from_millis(500) && delay <= Duration::from_secs(300), "{delay:?}");
            }
        }
    }

    #[test]
    fn gives_up_by_count_and_by_deadline() {
        let mut counted = Attempts::new(&RetryPolicy { retries_max: 2, ..RetryPolicy::default() });
        assert!(counted.after_failure(false).is_some());
        assert!(counted.after_failure(false).is_some());
        assert!(counted.after_failure(false).is_none());
        counted.progressed();
        assert!(counted.after_failure(false).is_some());
        let mut late = Attempts::new(&RetryPolicy { deadline: Duration::ZERO, ..RetryPolicy::default() });
        assert!(late.after_failure(false).is_none());
    }
}
