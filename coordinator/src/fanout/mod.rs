//! One command over all hosts of a cluster: started everywhere, kept alive, stopped everywhere when one fails.
//!
//! [`Fanout`] decides and does no I/O; [`run`] feeds it from real hosts and carries out what it decides. A lost connection is
//! attached again without touching the work, until the lease has run out, by which time the agent has stopped by itself.

mod driver;
mod link;
mod machine;
#[cfg(test)]
mod machine_tests;
mod verdict;

use std::time::Duration;

use formats::wire::{ErrorReport, JobId, JobSpec, JournalEntry, Request};

pub use driver::{HostJob, run};
pub use machine::Fanout;
pub use verdict::{Cause, End, HostVerdict, Verdict};

use crate::host::HostName;

/// A process that dies twice on the same work was not killed by chance.
const RESTARTS: u32 = 1;
/// Longer than the agents take at most: they abandon work that does not stop after 30 s.
const STOP_WAIT: Duration = Duration::from_secs(40);

/// Times and counts of a fan-out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long an agent works on without hearing of the coordinator.
    pub lease: Duration,
    /// How long the stopped hosts are waited for.
    pub stop_wait: Duration,
    /// Attempts to reach a host on which nothing was started yet.
    pub first_attempts: u32,
    /// Pause after the first failed attempt; doubled after each further one up to `backoff_max`.
    pub backoff_first: Duration,
    pub backoff_max: Duration,
    /// How often a host's unfinished segments are started again after the death of the agent's process.
    pub restarts: u32,
}

impl Policy {
    pub fn with_lease(lease: Duration) -> Self {
        Self {
            lease,
            stop_wait: STOP_WAIT,
            first_attempts: 3,
            backoff_first: Duration::from_millis(500),
            backoff_max: Duration::from_secs(10),
            restarts: RESTARTS,
        }
    }

    pub(crate) fn heartbeat_interval(&self) -> Duration {
        self.lease / 6
    }

    pub(crate) fn backoff(&self, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(1).min(16);
        self.backoff_max.min(self.backoff_first.saturating_mul(1 << doublings))
    }
}

/// What one host is to do.
#[derive(Clone, Debug, PartialEq)]
pub struct HostPlan {
    pub host: HostName,
    pub job: JobId,
    pub spec: JobSpec,
}

/// What happened. Numbers of hosts count from 0 in the order of their plans.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The connection that was asked for is there.
    Connected(usize),
    /// ... or cannot be had; `transient` if another attempt may succeed.
    ConnectFailed {
        host: usize,
        error: ErrorReport,
        transient: bool,
    },
    Entry {
        host: usize,
        entry: JournalEntry,
    },
    /// The agent lives, though it has nothing to tell.
    Alive(usize),
    /// The agent cannot serve what it was asked.
    Refused {
        host: usize,
        error: ErrorReport,
    },
    /// The connection is gone.
    Lost {
        host: usize,
        error: ErrorReport,
    },
    /// The user wants everything stopped.
    Interrupt,
    /// Time passed.
    Tick,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Open a connection; answered by `Connected` or `ConnectFailed` in bounded time.
    Connect(usize),
    /// Over the open connection.
    Send { host: usize, request: Request },
    /// Nothing more is expected of this host's connection, open or being opened.
    Disconnect(usize),
    /// An event that was not seen before.
    Observe { host: usize, entry: JournalEntry },
    /// Worth a line in the log: what became of a connection.
    Note { host: usize, text: String },
    /// Odd, and mended: worth a warning.
    Warn { host: usize, text: String },
    /// The last action of all.
    Finish(Verdict),
}
