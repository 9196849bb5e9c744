//! Copying backups from one storage to another, object by object, as they are: nothing is decoded or encrypted anew.
//!
//! First everything is looked up ([`gather`]) and planned ([`plan()`]), and compared with what the target holds
//! ([`compare`]): what is there already with the same size is left alone, anything else under the same name ends the copy
//! before a byte was written. Then the objects go over ([`execute`]), stage after stage: payload, metadata, sentinels (a base
//! before its deltas), restore points, sentinels of the cluster. So at every moment each backup that the target lists is
//! whole there, and a copy that was cut off goes on when it is run again.

mod compare;
mod execute;
mod gather;
mod leases;
mod plan;
mod wal;

pub use compare::{Comparison, compare};
pub use execute::{Transfer, execute};
pub use gather::{Objects, Source, SourceBackup, gather, objects_of};
pub use leases::under_leases;
pub use plan::{Item, Plan, Stage, plan};
pub use wal::{LogEnd, LogNeed};
