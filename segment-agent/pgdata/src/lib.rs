//! What PostgreSQL and Greenplum put on disk, as values: log positions, WAL file names, `pg_control`, relation files.
//!
//! Pure: no I/O, no clocks. Every function takes bytes or text that may be wrong and answers with an error, never a panic.

mod ao_block;
mod control;
mod lsn;
mod page;
mod relation;
mod segment_size;
mod timeline;
mod wal_name;
mod wal_page;
mod walk;

pub use ao_block::AoBlocks;
pub use control::{ClusterState, ControlFile, ControlFileError};
pub use lsn::{Lsn, ParseLsnError};
pub use page::{PAGE_HEADER_BYTES, PageScan, Verdict, absolute_block, page_checksum, stored_checksum};
pub use relation::{Fork, RelationFile, RelationPath};
pub use segment_size::{SegmentSize, SegmentSizeError};
pub use timeline::{ParseTimelineError, TimelineHistory, TimelineId, TimelineSwitch};
pub use wal_name::{WalFileName, WalName, WalNameError};
pub use wal_page::WalSegmentHeader;
pub use walk::{Treatment, treatment};

/// The id that `initdb` gives a cluster; the same in its WAL, its `pg_control` and its backups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct SystemIdentifier(pub u64);

impl std::fmt::Display for SystemIdentifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
