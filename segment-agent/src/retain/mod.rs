//! What a deletion removes from one repository, and what it must keep.
//!
//! A rule ([`select`]) says which backups go. Kept besides: permanent backups, and every backup that a kept one is based on. Then
//! the repository is surveyed ([`survey`]): of what goes, the folders are listed; the log up to the oldest backup that stays is
//! listed; append-optimized and PAX objects are compared with what the remaining backups name. The result is a plan
//! ([`DeletePlan`]), which [`execute`] carries out: sentinels first, so that no crash leaves a backup whose parts are gone.
//!
//! What cannot be read protects what it could protect. Leftovers of pushes that never ended are found whatever the rule is, and
//! so are those of a deletion that was killed: running any deletion again finishes it.

pub mod chains;
mod decide;
mod execute;
mod inventory;
mod journal;
pub mod report;
pub mod select;
mod shared;
pub mod single;
mod survey;
#[cfg(test)]
mod tests;
pub mod wal;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use formats::BackupName;
use pgdata::Lsn;
use storage::StaleUpload;

pub use self::execute::{Stop, execute};
pub use self::inventory::{Finished, Inventory, Known};
pub use self::journal::Begun;
pub use self::survey::survey;
use self::wal::WalPosition;

/// What an object is, in the order in which objects are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// What makes a backup exist.
    Sentinel,
    /// Documents of restore points.
    RestorePoint,
    /// Archives and documents of a backup.
    Backup,
    /// What is Damson's own about a backup: proofs, row counts.
    Record,
    /// Append-optimized and PAX files that no remaining backup names.
    Shared,
    /// Log files.
    Log,
    /// Of a push or a deletion that never ended.
    Leftover,
}

impl Class {
    pub const ALL: [Self; 7] =
        [Self::Sentinel, Self::RestorePoint, Self::Backup, Self::Record, Self::Shared, Self::Log, Self::Leftover];

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Sentinel => "sentinels",
            Self::RestorePoint => "restore points",
            Self::Backup => "backup files",
            Self::Record => "records",
            Self::Shared => "AO and PAX files",
            Self::Log => "log files",
            Self::Leftover => "leftovers",
        }
    }
}

/// An object that is to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedObject {
    pub class: Class,
    /// Relative to the repository.
    pub key: String,
    pub bytes: u64,
}

/// What is to be removed from one repository.
#[derive(Clone, Debug, Default)]
pub struct DeletePlan {
    /// In the order in which they go.
    pub objects: Vec<PlannedObject>,
    /// Uploads that nobody will finish.
    pub uploads: Vec<StaleUpload>,
    /// Backups that go, and why.
    pub gone: BTreeMap<BackupName, String>,
    /// Backups that stay although the rule would let them go, and why.
    pub kept: BTreeMap<BackupName, String>,
    /// What people should know.
    pub notes: Vec<String>,
    /// What could not be found out, so that the deletion is not complete.
    pub problems: Vec<String>,
}

impl DeletePlan {
    /// Number and bytes of the objects of each class.
    pub fn totals(&self) -> BTreeMap<Class, (u64, u64)> {
        let mut totals = BTreeMap::<Class, (u64, u64)>::new();
        for object in &self.objects {
            let total = totals.entry(object.class).or_default();
            *total = (total.0 + 1, total.1 + object.bytes);
        }
        totals
    }
}

/// What the rule says about one repository. Backups it does not mention are judged by their own metadata.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Backups that go, and why.
    pub gone: BTreeMap<BackupName, String>,
    /// Backups that stay, with the end of the log they need where it is known better than from their own metadata.
    pub kept: BTreeMap<BackupName, Option<Lsn>>,
    /// The log before this position goes, but for what kept backups need, and so do backups that began before it.
    pub bound: Option<WalPosition>,
    /// Backups of which an earlier deletion removed more than the sentinel.
    pub begun: BTreeSet<BackupName>,
    /// A finished backup that carries a cluster's id and that no cluster backup names is a leftover.
    pub orphans_go: bool,
    pub scope: Scope,
    pub age: Age,
    /// Metadata that cannot be read protects nothing.
    pub force: bool,
}

/// Which part of a repository is cleaned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    #[default]
    All,
    /// The log alone.
    Archives,
    /// Backups alone.
    Backups,
}

/// When something that belongs to no backup is a leftover.
#[derive(Clone, Copy, Debug)]
pub struct Age {
    /// By the clock of the storage.
    pub now: DateTime<Utc>,
    /// Nothing was added to it for so long. Pushes of Damson exclude deletions, but those of WAL-G do not.
    pub leftover: Duration,
}

impl Default for Age {
    fn default() -> Self {
        Self { now: DateTime::UNIX_EPOCH, leftover: Duration::ZERO }
    }
}

impl Age {
    /// Whether what was last written at `modified` may still be in use.
    pub fn is_young(self, modified: DateTime<Utc>) -> bool {
        let age = self.now.signed_duration_since(modified);
        chrono::TimeDelta::from_std(self.leftover).is_ok_and(|limit| age < limit)
    }
}
