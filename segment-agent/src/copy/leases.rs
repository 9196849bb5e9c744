//! A copy keeps deletions away from its source where it can, and deletions and pushes away from its target.

use std::time::Duration;

use formats::lease::LeaseKind;
use storage::Store;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::lease::{Lease, LeaseRequest};

/// Runs `work` under leases on both storages, given by their roots. It stops when the one on the target is lost; `work`
/// confirms that one before it stores what others go by.
pub async fn under_leases<T, E: From<Error>>(
    source: &Store,
    target: &Store,
    term: Duration,
    cancel: &CancellationToken,
    work: impl AsyncFnOnce(&Lease, &CancellationToken) -> Result<T, E>,
) -> Result<T, E> {
    let what = format!("a copy from {} to {}", source.describe(), target.describe());
    let reading = Lease::read(source, &what, term).await;
    let request = LeaseRequest { kind: LeaseKind::Push, what, term, linger: Duration::ZERO };
    let done = match Lease::acquire(target, request).await {
        Ok(writing) => {
            let done = watched(&writing, cancel, work).await;
            writing.release().await;
            done
        }
        Err(error) => Err(error.into()),
    };
    if let Some(lease) = reading {
        lease.release().await;
    }
    done
}

async fn watched<T, E: From<Error>>(
    lease: &Lease,
    cancel: &CancellationToken,
    work: impl AsyncFnOnce(&Lease, &CancellationToken) -> Result<T, E>,
) -> Result<T, E> {
    let stop = cancel.child_token();
    let mut working = std::pin::pin!(work(lease, &stop));
    tokio::select! {
        done = &mut working => done,
        lost = lease.lost() => {
            stop.cancel();
            working.await.and(Err(lost.into()))
        }
    }
}
