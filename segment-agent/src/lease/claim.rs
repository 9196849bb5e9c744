//! Taking a lease: the own object, and what stands in its way.

use std::time::Duration;

use chrono::{DateTime, Utc};
use formats::lease::{LeaseDocument, LeaseKind};
use formats::{Timestamp, go_json, layout};
use storage::{ErrorKind, ObjectInfo, Store};

use super::{DEFAULT_TERM, LeaseRequest, RENEWAL, process};
use crate::error::{Error, Result};

/// Another holder in the way.
pub(super) struct Rival {
    pub key: String,
    /// Absent if it cannot be read.
    document: Option<LeaseDocument>,
}

impl Rival {
    pub fn refusal(&self, request: &LeaseRequest) -> Error {
        let what = match &self.document {
            Some(LeaseDocument { kind, what, host, pid, taken, .. }) => format!(
                "another {kind} is under way in this storage: {what}, on host {host}, process {pid}, since {taken}"
            ),
            None => format!("another command is under way in this storage: its lease {} cannot be read", self.key),
        };
        let remedy = match request.kind {
            LeaseKind::Read => "wait until it has ended",
            LeaseKind::Push | LeaseKind::Delete => {
                "wait until it has ended; if it was killed, its lease expires by itself (DAMSON_STORAGE_LEASE)"
            }
        };
        Error::refused(what, remedy)
    }
}

/// Writes the own object and looks around. With a rival in the way the own object is removed again.
pub(super) async fn claim(store: &Store, key: &str, request: &LeaseRequest) -> Result<Option<Rival>> {
    store.put(key, go_json::to_vec(&document(request)).into()).await?;
    let found = look_around(store, key, request).await;
    if !matches!(found, Ok(None)) {
        let removed = store.delete(&[key.to_owned()]).await;
        if let Err(error) = removed {
            tracing::debug!("a lease that was not taken is left behind: {error}");
        }
    }
    found
}

async fn look_around(store: &Store, key: &str, request: &LeaseRequest) -> Result<Option<Rival>> {
    let leases = store.list_folder(&layout::leases_folder()).await?.objects;
    let Some(own) = leases.iter().find(|lease| lease.key == key) else {
        let what = format!("the lease that was just written is not listed in {}", store.describe());
        return Err(Error::refused(what, "the storage must show objects at once; run the command again"));
    };
    let mut rival = None;
    for lease in leases.iter().filter(|lease| lease.key != key) {
        let Some(kind) = layout::kind_of_lease_key(&lease.key) else { continue };
        if !request.kind.excludes(kind) {
            continue;
        }
        let Some(document) = read(store, &lease.key).await? else { continue };
        if is_in_force(lease, document.as_ref(), own.modified, request.kind) {
            rival.get_or_insert(Rival { key: lease.key.clone(), document });
        } else {
            store.delete(std::slice::from_ref(&lease.key)).await?;
        }
    }
    Ok(rival)
}

/// `None`: it has just been released. `Some(None)`: it does not make sense.
async fn read(store: &Store, key: &str) -> Result<Option<Option<LeaseDocument>>> {
    match store.get(key).await {
        Ok(bytes) => Ok(Some(go_json::from_slice(key, &bytes).ok())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether another's lease counts, at the time `now` of the storage. Expired ones are given a tenth of their term more, for
/// a renewal that is on its way.
fn is_in_force(lease: &ObjectInfo, document: Option<&LeaseDocument>, now: DateTime<Utc>, asking: LeaseKind) -> bool {
    let age = now.signed_duration_since(lease.modified).num_milliseconds();
    let Some(document) = document else {
        return age <= i64::try_from(DEFAULT_TERM.as_millis()).unwrap_or(i64::MAX);
    };
    let term = document.term_millis();
    if age > term.saturating_add(term / 10) {
        return false;
    }
    if !process::has_ended(&document.process) {
        return true;
    }
    // Its agents may still store objects, which a deletion would take for leftovers.
    let linger = i64::try_from(document.lingers.saturating_mul(1000)).unwrap_or(i64::MAX);
    asking == LeaseKind::Delete && linger > 0 && age <= linger
}

pub(super) fn document(request: &LeaseRequest) -> LeaseDocument {
    let now = Timestamp::from(Utc::now());
    // Twice, because the holder may have ended just before its next renewal.
    let lingers = if request.linger.is_zero() { 0 } else { (request.linger + 2 * RENEWAL).as_secs() };
    let mut document = LeaseDocument {
        kind: request.kind,
        what: request.what.clone(),
        host: nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default(),
        pid: std::process::id(),
        taken: now,
        renewed: now,
        expires: now,
        process: process::this(),
        lingers,
    };
    set_times(&mut document, request.term);
    document
}

pub(super) fn set_times(document: &mut LeaseDocument, term: Duration) {
    let now = Utc::now();
    document.renewed = now.into();
    document.expires =
        now.checked_add_signed(chrono::TimeDelta::from_std(term).unwrap_or_default()).unwrap_or(now).into();
}
