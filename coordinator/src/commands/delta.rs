//! What a backup of the cluster is a delta of, segment by segment.

use std::collections::BTreeMap;

use coordinator::catalog::{self, BackupDetail, Backups, select};
use formats::{BackupName, ContentId};
use segment_agent::backups::Wanted;
use segment_agent::delta::{Candidate, Choice, Wish};
use segment_agent::repository::Repository;

use crate::cluster::Node;
use crate::error::Result;

/// A delta that is to be made.
pub struct Plan {
    pub base: BackupName,
    pub full_name: BackupName,
    /// Deltas since the full backup, this one included.
    pub count: u32,
    /// The segments' own backups in the base.
    segments: BTreeMap<ContentId, BackupName>,
}

impl Plan {
    /// What a segment's backup is a delta of.
    pub fn base_of(&self, content: ContentId) -> Option<BackupName> {
        self.segments.get(&content).cloned()
    }

    /// Segments that came later than the base get full backups.
    pub fn warn_of_missing(&self, nodes: &[Node]) {
        for node in nodes.iter().filter(|node| !self.segments.contains_key(&node.content)) {
            let (content, base) = (node.content, &self.base);
            tracing::warn!("content {content} is not in backup {base}: a full backup of this segment is made");
        }
    }
}

/// The delta that `wish` means, if it is to be one. A selector that finds nothing is an error: whoever names a base does not
/// want a full backup.
pub async fn plan(repository: &Repository, wish: &Wish) -> Result<Option<Plan>> {
    if !wish.wants_delta() {
        return Ok(None);
    }
    let backups = Backups::load(repository.store()).await?;
    let found = find(&backups, &wish.from).await?;
    let (base, full_name, count) = match wish.choose(found.as_ref().map(candidate).transpose()?) {
        Choice::Full(why) => {
            tracing::info!("{why}");
            return Ok(None);
        }
        Choice::Delta { base, full_name, count } => (base, full_name, count),
    };
    let detail = match found {
        Some(found) if found.name == base => found,
        _ => backups.detail(&base).await?,
    };
    tracing::info!("Delta backup from {base}.");
    let segments = detail.sentinel.segments.into_iter().map(|segment| (segment.content_id, segment.backup_name));
    Ok(Some(Plan { base, full_name, count, segments: segments.collect() }))
}

async fn find(backups: &Backups, from: &Wanted) -> Result<Option<BackupDetail>> {
    match from {
        Wanted::Latest => match backups.entries().last() {
            Some(latest) => Ok(Some(backups.detail(&latest.name).await?)),
            None => Ok(None),
        },
        Wanted::Named(name) => Ok(Some(backups.detail(name).await?)),
        Wanted::WithUserData(user_data) => {
            let reading = backups.details().await;
            for error in &reading.unreadable {
                tracing::warn!("a backup is left out of account: {error}");
            }
            Ok(Some(select::by_user_data(reading.found, user_data, reading.unreadable.len())?))
        }
    }
}

fn candidate(detail: &BackupDetail) -> Result<Candidate> {
    let base = detail.sentinel.increment_base().map_err(catalog::Error::from)?;
    let (full_name, count) = base.map_or((detail.name.clone(), 0), |base| (base.full_name, base.count));
    Ok(Candidate { name: detail.name.clone(), full_name, count, is_permanent: detail.sentinel.is_permanent })
}
