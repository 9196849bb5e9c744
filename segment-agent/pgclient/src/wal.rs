//! WAL position, timeline, switching.

use pgdata::{Lsn, SegmentSize, SystemIdentifier, TimelineId};

use crate::{Error, Server};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchedWal {
    pub timeline: TimelineId,
    /// End of the closed WAL file's content.
    pub lsn: Lsn,
    /// WAL file that was closed.
    pub file_name: String,
}

impl Server {
    /// Closes the current WAL file. On a primary only.
    pub async fn switch_wal(&self) -> Result<SwitchedWal, Error> {
        todo!()
    }

    /// The timeline that WAL is written on; on a standby that of the last restart point.
    pub async fn timeline(&self) -> Result<TimelineId, Error> {
        todo!()
    }

    /// `None` where the server cannot tell (before 9.6: read `pg_control`).
    pub async fn system_identifier(&self) -> Result<Option<SystemIdentifier>, Error> {
        todo!()
    }

    pub async fn wal_segment_size(&self) -> Result<SegmentSize, Error> {
        todo!()
    }
}
