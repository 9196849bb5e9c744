//! Files of append-optimized and PAX tables that are stored once and referred to by later backups.
//!
//! Large ones go to `aosegments` and `paxfiles` as objects of their own: uncompressed, encrypted like the rest. A file of
//! which an earlier backup stored the same bytes is not stored again; in a delta, one that begins with those bytes gives an
//! increment of what follows. The bytes are hashed to know that; counters of the catalog are noted and not relied on.
//!
//! Objects come first, the documents that refer to them later. What an unfinished push stored here is removed when it fails.

mod base;
mod decision;
mod found;
#[cfg(test)]
mod history;
mod keys;
mod pass;
mod store;
mod sums;

use std::sync::{Arc, Mutex, PoisonError};

use chrono::TimeDelta;
use formats::ao::AoFilesMetadata;
use formats::pax::PaxFilesMetadata;
use formats::{BackupName, Timestamp};
use pgdata::TimelineId;

use self::base::Base;
use self::decision::Rules;
use self::found::{AoFacts, PaxFacts, PaxPlace, RelationKey};
use self::keys::PushId;
use super::walk::Entry;
use crate::error::Result;
use crate::monitor::Monitor;
use crate::repository::Repository;

pub use self::found::Found;

/// Which files are shared, and for how long (WALG_GP_AOSEG_*, WALG_GP_PAXFILE_*).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SharedLimits {
    /// Files from this size on.
    pub ao_bytes: u64,
    pub ao_age: TimeDelta,
    pub pax_bytes: u64,
    pub pax_age: TimeDelta,
    /// An unchanged size, time of modification, inode and timeline stand for unchanged content (DAMSON_AO_TRUST_FILE_TIMES).
    pub trust_file_times: bool,
}

/// Keys of the objects that a push has made, for the case that it fails.
pub type Made = Arc<Mutex<Vec<String>>>;

/// What the workers of a push share.
pub struct Shared {
    limits: SharedLimits,
    found: Found,
    base: Base,
    timeline: TimelineId,
    is_delta: bool,
    now: Timestamp,
    push: PushId,
    made: Made,
    documents: Mutex<(AoFilesMetadata, PaxFilesMetadata)>,
}

/// A walked file that is shared.
pub enum SharedFile<'a> {
    Ao(RelationKey, &'a AoFacts),
    Pax(PaxPlace, &'a PaxFacts),
}

impl Shared {
    /// Reads what earlier backups hold of the files in `found`. `parent`: the backup that a delta goes on from.
    pub async fn prepare(
        repository: &Repository,
        limits: SharedLimits,
        found: Found,
        timeline: TimelineId,
        parent: Option<&BackupName>,
        made: Made,
        monitor: &Monitor,
    ) -> Result<Self> {
        let base = match parent {
            None if found.is_empty() => Base::default(),
            _ => Base::load(repository, parent, monitor).await?,
        };
        let now = Timestamp(chrono::Local::now().fixed_offset());
        let is_delta = parent.is_some();
        let push = now.unix_nanos();
        Ok(Self { limits, found, base, timeline, is_delta, now, push, made, documents: Mutex::default() })
    }

    /// The entry as a shared file, if it is one.
    pub fn of<'a>(&'a self, entry: &Entry) -> Option<SharedFile<'a>> {
        if !entry.is_file() {
            return None;
        }
        let bytes = entry.metadata.len();
        let ao = self.found.ao_file(&entry.name).filter(|_| bytes >= self.limits.ao_bytes);
        if let Some((place, facts)) = ao {
            return Some(SharedFile::Ao(place, facts));
        }
        let pax = self.found.pax_file(&entry.name).filter(|_| bytes >= self.limits.pax_bytes);
        pax.map(|(place, facts)| SharedFile::Pax(place, facts))
    }

    /// Whether changed pages would not tell what changed in a file: it has none, or the backup that they would be put on had
    /// a file without pages under the same number.
    pub fn is_without_pages(&self, name: &str) -> bool {
        self.found.is_append_optimized(name) || self.found.pax_file(name).is_some() || self.base.ao.contains_key(name)
    }

    /// The documents that name all shared files of the backup. Nothing is left of them here.
    pub fn take_documents(&self) -> (AoFilesMetadata, PaxFilesMetadata) {
        std::mem::take(&mut *self.documents.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ao_rules(&self) -> Rules {
        let SharedLimits { ao_age, trust_file_times, .. } = self.limits;
        Rules { now: self.now, age_limit: ao_age, is_delta: self.is_delta, trust_file_times }
    }

    /// PAX files do not grow, so they have no increments.
    fn pax_rules(&self) -> Rules {
        Rules { now: self.now, age_limit: self.limits.pax_age, is_delta: false, trust_file_times: false }
    }
}
