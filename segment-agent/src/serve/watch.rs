//! What stops a job from outside: a wish of the coordinator, its silence, a signal, a journal that cannot be written.

use std::time::{Duration, Instant, SystemTime};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::job_directory::JobDirectory;
use crate::error::{Error, Result};

/// How often the files of the job are looked at.
const INTERVAL: Duration = Duration::from_millis(20);

/// Looks for a reason to stop.
pub(super) struct Watch {
    directory: JobDirectory,
    lease: Duration,
    last_sign: Option<SystemTime>,
    /// By the monotonic clock, so that a step of the wall clock neither ends nor prolongs a lease.
    last_sign_seen: Instant,
    journal_broken: CancellationToken,
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Watch {
    /// From here on the three signals do not end the process any more.
    pub(super) fn start(directory: &JobDirectory, lease: Duration, journal_broken: &CancellationToken) -> Result<Self> {
        let listen =
            |kind| signal(kind).map_err(|source| Error::file("listening for signals in", directory.path(), source));
        Ok(Self {
            directory: directory.clone(),
            lease,
            last_sign: directory.last_sign_of_life(),
            last_sign_seen: Instant::now(),
            journal_broken: journal_broken.clone(),
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Waits until there is a reason to stop, and says which.
    pub(super) async fn reason_to_stop(&mut self) -> String {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "signal SIGTERM".to_owned(),
                _ = self.interrupt.recv() => return "signal SIGINT".to_owned(),
                _ = self.hang_up.recv() => return "signal SIGHUP".to_owned(),
                () = self.journal_broken.cancelled() => {
                    return format!("the journal of the job in {} cannot be written", self.directory.path().display());
                }
                () = tokio::time::sleep(INTERVAL) => {}
            }
            if self.directory.is_cancel_requested() {
                return "the coordinator asked for it".to_owned();
            }
            if self.is_lease_over() {
                return format!("no sign of life from the coordinator for {} s", self.lease.as_secs());
            }
        }
    }

    fn is_lease_over(&mut self) -> bool {
        let sign = self.directory.last_sign_of_life();
        if sign != self.last_sign {
            self.last_sign = sign;
            self.last_sign_seen = Instant::now();
        }
        self.last_sign_seen.elapsed() > self.lease
    }
}
