//! What only a Greenplum coordinator can be asked.

use pgdata::{Lsn, TimelineId};

use crate::{Error, Server};

/// A row of `gp_segment_configuration` with role p.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRow {
    pub dbid: i32,
    /// -1 is the coordinator.
    pub content: i32,
    pub port: u16,
    pub hostname: String,
    pub data_dir: String,
}

/// The family a server belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    Greenplum,
    Cloudberry,
}

/// Brand and release, from `version()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub flavor: Flavor,
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

pub async fn version(_server: &Server) -> Result<Version, Error> {
    todo!()
}

/// Primaries and the coordinator, by content id.
pub async fn segments(_server: &Server) -> Result<Vec<SegmentRow>, Error> {
    todo!()
}

/// Takes the cluster's backup lock (WAL-G's own) for the rest of the session.
pub async fn lock_backups(_server: &Server) -> Result<(), Error> {
    todo!()
}

/// Content ids in exclusive backup mode (Greenplum 6; empty where that mode does not exist).
pub async fn contents_in_backup(_server: &Server) -> Result<Vec<i32>, Error> {
    todo!()
}

/// Content id and LSN of the restore point on every node, by content id.
pub async fn create_restore_point(_server: &Server, _name: &str) -> Result<Vec<(i32, Lsn)>, Error> {
    todo!()
}

/// Timeline that the coordinator writes on.
pub async fn coordinator_timeline(server: &Server) -> Result<TimelineId, Error> {
    server.timeline().await
}

/// Timeline of every node, by content id.
pub async fn timelines(_server: &Server) -> Result<Vec<(i32, TimelineId)>, Error> {
    todo!()
}
