//! A second attempt for one segment, while the others go on.
//!
//! A lost session, a server that starts anew or a storage that did not answer need not cost the work of every other segment. What
//! cannot be otherwise the next time (a refusal, damage, a full disk, a missing permission) is not tried again, and neither is
//! anything after a cancel. The first attempt of a push has removed what it had stored; that of a restore is gone on with.

use std::time::{Duration, Instant};

use formats::wire::SegmentTarget;
use pgclient::Server;

use super::{Shared, Task, connect_options};
use crate::error::{Error, Result};

/// SQLSTATE of "a backup is already in progress": an exclusive backup (Greenplum 6) outlives its session and its agent.
const BACKUP_IN_PROGRESS: &str = "55000";

/// How long a server may take to come back. One that is gone for good must not keep the others at work for nothing.
const SERVER_PATIENCE: Duration = Duration::from_secs(5);
const SERVER_PAUSE: Duration = Duration::from_millis(200);

impl Task {
    /// Whether a failure costs so much that a second attempt is made.
    pub(super) fn may_be_repeated(&self) -> bool {
        matches!(self, Task::Push { .. } | Task::Unpack { .. })
    }
}

/// True for what may have passed when the work is begun anew.
pub(super) fn is_worth_it(error: &Error) -> bool {
    match error {
        Error::Storage(error) => matches!(error.kind(), storage::ErrorKind::Transient),
        Error::Server(pgclient::Error::Query { sqlstate, .. }) => sqlstate == BACKUP_IN_PROGRESS,
        Error::Server(error) => matches!(error.kind(), pgclient::ErrorKind::Lost | pgclient::ErrorKind::Unreachable),
        _ => false,
    }
}

/// Waits a little for a server that starts anew, and ends the exclusive backup that a lost session of this cluster's push left
/// open: the cluster's backup lock proves that it is nobody else's push. What goes wrong here, the second attempt tells.
pub(super) async fn make_ready(task: &Task, shared: &Shared, target: &SegmentTarget) {
    if !matches!(task, Task::Push { .. }) {
        return;
    }
    let deadline = Instant::now() + SERVER_PATIENCE;
    while let Err(error) = leave_stale_backup_mode(shared, target).await {
        tracing::debug!(content = target.content.0, "before the second attempt: {error}");
        if !is_worth_it(&error) || Instant::now() >= deadline {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(SERVER_PAUSE) => {}
            () = shared.cancel.cancelled() => return,
        }
    }
}

async fn leave_stale_backup_mode(shared: &Shared, target: &SegmentTarget) -> Result<()> {
    let server = Server::connect_segment(&connect_options(&shared.settings)?.with_port(target.port)).await?;
    if server.is_in_backup().await? {
        server.leave_backup_mode().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_change_is_not_tried_again() {
        let query = |sqlstate: &str| {
            let sqlstate = sqlstate.to_owned();
            Error::Server(pgclient::Error::Query {
                what: "w".into(),
                address: "a".into(),
                message: "m".into(),
                sqlstate,
            })
        };
        let (what, address) = ("w".to_owned(), "a".to_owned());
        let lost = pgclient::Error::Lost { what, address, reason: "gone".into() };
        assert!(is_worth_it(&Error::Server(lost)) && is_worth_it(&query("55000")));
        for error in [
            query("42501"),
            Error::Cancelled,
            Error::refused("no", "do"),
            Error::damaged("part_001", "cut"),
            Error::file("reading", "/x", std::io::ErrorKind::StorageFull.into()),
            Error::Storage(storage::Error::NotConfigured),
        ] {
            assert!(!is_worth_it(&error), "{error}");
        }
    }
}
