//! Leases: pushes and deletions of a storage exclude one another, and readers keep deletions away.
//!
//! A lease is a small object that its holder renews. Taking one: write the own object, list all, and if another one that
//! excludes it is in force, remove the own object and be refused. Of two that are taken at the same moment each sees the
//! other or the later sees the earlier, so never both hold; the one with the smaller id tries again first.
//!
//! A holder that was killed renews no more: its lease expires by the clock of the storage, whatever the clocks of the hosts
//! say, or at once where its process is seen to have ended. A holder that cannot renew until its term is over has lost the
//! lease, and must not store what others will go by.

mod claim;
mod process;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use formats::lease::{LeaseDocument, LeaseKind};
use formats::{go_json, layout};
use settings::Settings;
use storage::Store;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::claim::{claim, document, set_times};
use crate::error::{Error, Result};

const DEFAULT_TERM: Duration = Duration::from_secs(15 * 60);
/// Renewed at least this often, so that others can tell how long ago a holder was alive.
const RENEWAL: Duration = Duration::from_secs(30);
/// Before the second and last attempt; longer for the one that gives way.
const FIRST_PAUSE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 100 });
const SECOND_PAUSE: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1500 });

/// What is asked for.
#[derive(Clone, Debug)]
pub struct LeaseRequest {
    pub kind: LeaseKind,
    /// Name of the backup, or of what else is done.
    pub what: String,
    /// How long the lease holds without being renewed: [`term`].
    pub term: Duration,
    /// How long others (agents) may go on after the holder's end; zero if nobody works for it.
    pub linger: Duration,
}

/// A lease in force. [`release`](Self::release) it at the end; dropped, it stays until it expires.
#[derive(Debug)]
pub struct Lease {
    held: Arc<Held>,
    /// When the lease was taken, by the clock of the storage.
    pub taken: DateTime<Utc>,
    renewing: JoinHandle<()>,
}

#[derive(Debug)]
struct Held {
    store: Store,
    key: String,
    term: Duration,
    state: Mutex<State>,
    /// One renewal at a time.
    renewal: tokio::sync::Mutex<()>,
    lost: CancellationToken,
}

#[derive(Debug)]
struct State {
    document: LeaseDocument,
    /// Just before the last renewal that succeeded.
    renewed: Instant,
}

/// The term that the settings ask for.
pub fn term(settings: &Settings) -> Result<Duration> {
    Ok(settings.duration("DAMSON_STORAGE_LEASE")?.unwrap_or(DEFAULT_TERM).max(Duration::from_secs(1)))
}

impl Lease {
    /// Takes a lease on the storage whose root is `store`; refused, naming the other holder, while one that excludes it is in
    /// force. To be called on a runtime, which renews it.
    pub async fn acquire(store: &Store, request: LeaseRequest) -> Result<Self> {
        let id = uuid::Uuid::new_v4().to_string();
        let key = layout::lease_key(request.kind, &id);
        let Some(rival) = claim(store, &key, &request).await? else { return hold(store, key, request).await };
        let pause = if key < rival.key { FIRST_PAUSE } else { SECOND_PAUSE };
        tokio::time::sleep(pause).await;
        match claim(store, &key, &request).await? {
            None => hold(store, key, request).await,
            Some(rival) => Err(rival.refusal(&request)),
        }
    }

    /// A reader's lease where that can be had: a storage may allow no writing, and a restore is too urgent to wait for a
    /// deletion. Never fails.
    pub async fn read(store: &Store, what: &str, term: Duration) -> Option<Self> {
        let request = LeaseRequest { kind: LeaseKind::Read, what: what.to_owned(), term, linger: Duration::ZERO };
        match Self::acquire(store, request).await {
            Ok(lease) => Some(lease),
            Err(Error::Refused { what, .. }) => {
                tracing::warn!("{what}; if it removes what is read here, this command fails");
                None
            }
            Err(error) => {
                tracing::debug!("no lease is taken, so nothing keeps deletions away: {error}");
                None
            }
        }
    }

    /// Says more precisely what the lease is for.
    pub async fn describe(&self, what: &str) -> Result<()> {
        self.held.state().document.what = what.to_owned();
        self.confirm().await
    }

    /// Over once the lease is lost.
    pub async fn lost(&self) -> Error {
        self.held.lost.cancelled().await;
        self.held.lost_error()
    }

    /// Whether another holder may be at work already.
    pub fn is_lost(&self) -> bool {
        self.held.is_over()
    }

    /// Renews the lease now; an error if it is lost. To be called before anything is stored or removed that must not
    /// happen beside another holder.
    pub async fn confirm(&self) -> Result<()> {
        match self.held.renew().await {
            Err(error) if self.held.is_over() => {
                self.held.lost.cancel();
                tracing::debug!("{error}");
                Err(self.held.lost_error())
            }
            other => other,
        }
    }

    /// Ends the lease. What cannot be removed expires.
    pub async fn release(self) {
        self.renewing.abort();
        let _ = self.renewing.await;
        if let Err(error) = self.held.store.delete(std::slice::from_ref(&self.held.key)).await {
            tracing::warn!("the lease cannot be removed and expires by itself: {error}");
        }
    }
}

async fn hold(store: &Store, key: String, request: LeaseRequest) -> Result<Lease> {
    let state = State { document: document(&request), renewed: Instant::now() };
    let held = Arc::new(Held {
        store: store.clone(),
        key,
        term: request.term,
        state: Mutex::new(state),
        renewal: tokio::sync::Mutex::default(),
        lost: CancellationToken::new(),
    });
    held.renew().await?;
    let taken = held.store.head(&held.key).await?.map_or_else(Utc::now, |own| own.modified);
    let renewing = tokio::spawn(keep(held.clone()));
    Ok(Lease { held, taken, renewing })
}

/// Renews until the lease is lost.
async fn keep(held: Arc<Held>) {
    loop {
        tokio::time::sleep(RENEWAL.min(held.term / 5)).await;
        let Err(error) = held.renew().await else { continue };
        if held.is_over() {
            tracing::error!("the lease on the storage is lost: {error}");
            held.lost.cancel();
            return;
        }
        tracing::warn!("the lease on the storage could not be renewed yet: {error}");
    }
}

impl Held {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether others may have taken the lease for expired.
    fn is_over(&self) -> bool {
        self.lost.is_cancelled() || self.state().renewed.elapsed() >= self.term
    }

    fn lost_error(&self) -> Error {
        let what = format!("{} lost its lease on the storage", self.state().document.what);
        Error::refused(
            what,
            "the storage could not be written for so long that another command may be at work; run it again",
        )
    }

    async fn renew(&self) -> Result<()> {
        let _one = self.renewal.lock().await;
        if self.is_over() {
            return Err(self.lost_error());
        }
        let begun = Instant::now();
        if self.store.head(&self.key).await?.is_none() {
            // Somebody took it for expired.
            self.lost.cancel();
            return Err(self.lost_error());
        }
        let document = {
            let mut state = self.state();
            set_times(&mut state.document, self.term);
            state.document.clone()
        };
        self.store.put(&self.key, go_json::to_vec(&document).into()).await?;
        self.state().renewed = begun;
        Ok(())
    }
}
