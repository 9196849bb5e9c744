//! Row counts of a backup: taken before and after its restore point is made, and kept for the tables that are equal both times.
//!
//! Each count is one snapshot a database and segment, and there is no snapshot of a cluster: a table that changes between the two
//! counts tells nothing about the restore point, and is left out. A table that changes and changes back in between deceives.
//! Counting never fails a backup: without counts it is as good, and `drill` says that there are none.

use std::collections::BTreeMap;

use formats::rows::{BackupRows, TableRows, unchanged};
use formats::server::{ServerAction, ServerResult};
use formats::{BackupName, ContentId, layout};
use segment_agent::repository::Repository;

use super::backup_push::now;
use super::servers::Servers;
use crate::cluster::{Cluster, Node};
use crate::error::Result;
use crate::session::Session;

pub type Counts = BTreeMap<ContentId, Vec<TableRows>>;

/// Rows of every table on every segment.
pub async fn count(session: &Session, nodes: &[Node]) -> Result<Counts> {
    let servers = Servers::new(session, nodes);
    let results = servers.act("counting rows", nodes, |_| ServerAction::CountRows).await?;
    let counts = results.into_iter().filter_map(|(content, result)| match result {
        ServerResult::Rows(rows) => Some((content, rows)),
        _ => None,
    });
    Ok(counts.collect())
}

/// The first count, if it is wanted.
pub async fn before(session: &Session, cluster: &Cluster, wanted: bool) -> Option<Counts> {
    if !wanted {
        return None;
    }
    told(count(session, &cluster.nodes).await)
}

/// The second count, compared with the first and stored.
pub async fn store(
    session: &Session,
    cluster: &Cluster,
    repository: &Repository,
    backup: &BackupName,
    before: Option<Counts>,
) {
    let Some(before) = before else { return };
    let Some(mut after) = told(count(session, &cluster.nodes).await) else { return };
    let (mut segments, mut changed_tables) = (BTreeMap::new(), 0);
    for (content, tables) in before {
        let (kept, changed) = unchanged(tables, &after.remove(&content).unwrap_or_default());
        changed_tables += changed;
        segments.insert(content, kept);
    }
    let kept: usize = segments.values().map(Vec::len).sum();
    let rows = BackupRows { backup: backup.clone(), counted_at: now(), segments, changed_tables };
    if told(repository.put_json(&layout::rows_key(backup), &rows).await.map_err(Into::into)).is_some() {
        tracing::info!("row counts of {kept} tables stored; {changed_tables} changed meanwhile and are left out");
    }
}

fn told<T>(counted: Result<T>) -> Option<T> {
    counted.map_err(|error| tracing::warn!("the backup has no row counts: {error}")).ok()
}
