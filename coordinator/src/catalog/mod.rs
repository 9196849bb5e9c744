//! The cluster's backups and restore points in a storage, and the rules by which one of them is chosen.
//!
//! A backup exists if and only if its sentinel does. One listing of one folder finds all sentinels and restore points;
//! a document costs one more request and is read only where its content matters. A document that cannot be read is
//! reported by itself and hides no other.

mod backups;
mod choose;
pub mod copying;
mod document;
mod error;
#[cfg(test)]
pub(crate) mod golden;
pub mod marking;
mod restore_points;
pub mod select;

pub use backups::{Backup, BackupDetail, Backups};
pub use choose::{Choice, choose};
pub use copying::{SelectedBackup, Selection};
pub use document::Reading;
pub use error::Error;
pub use restore_points::{RestorePointEntry, RestorePoints};
pub use select::{Arguments, BackupTarget, PointTarget, Target};
