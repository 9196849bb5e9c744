//! Marking backups of one repository as permanent: no delete command removes them. The mark stands in metadata.json.
//!
//! A permanent backup needs all that it is based on, so the whole chain is marked, the full backup first: whenever the work is
//! cut off, no permanent backup has a base that may be deleted. The same rule refuses to unmark a backup that a permanent one
//! is based on.

use std::collections::BTreeMap;

use bytes::Bytes;
use formats::segment::{ExtendedMetadata, SegmentSentinel};
use formats::{BackupName, go_json, layout};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::Value;

use crate::backups;
use crate::error::{Error, Result};
use crate::repository::Repository;

/// Documents asked for at once.
const REQUESTS_AT_ONCE: usize = 16;

/// Marks `name` and all that it is based on, or unmarks `name` alone. Returns what was changed, in the order of the writes.
pub async fn mark(repository: &Repository, name: &BackupName, permanent: bool) -> Result<Vec<BackupName>> {
    let wanted = plan(repository, name, permanent).await?;
    for backup in &wanted {
        rewrite(repository, backup, permanent).await?;
    }
    Ok(wanted)
}

/// What [`mark`] would change, in the order of its writes; an error if it may not.
pub async fn plan(repository: &Repository, name: &BackupName, permanent: bool) -> Result<Vec<BackupName>> {
    let mut wanted = Vec::new();
    if permanent {
        for backup in chain(repository, name).await? {
            if !is_permanent(repository, &backup).await? {
                wanted.push(backup);
            }
        }
        return Ok(wanted);
    }
    if is_permanent(repository, name).await? {
        refuse_if_needed(repository, name).await?;
        wanted.push(name.clone());
    }
    Ok(wanted)
}

/// `name` and all that it is based on, the full backup first.
pub async fn chain(repository: &Repository, name: &BackupName) -> Result<Vec<BackupName>> {
    let mut chain = vec![name.clone()];
    let mut next = base(repository, name).await?;
    while let Some(backup) = next {
        if chain.contains(&backup) {
            return Err(Error::damaged(layout::sentinel_key(&backup), "the backup is based on itself"));
        }
        next = base(repository, &backup).await?;
        chain.push(backup);
    }
    chain.reverse();
    Ok(chain)
}

async fn base(repository: &Repository, name: &BackupName) -> Result<Option<BackupName>> {
    let key = layout::sentinel_key(name);
    let sentinel: Option<SegmentSentinel> = repository.find_json(&key).await?;
    let sentinel = sentinel.ok_or_else(|| {
        let storage = repository.store().describe();
        Error::refused(format!("Backup '{name}' does not exist in {storage}"), "list the backups with backup-list")
    })?;
    Ok(sentinel.delta_base().map_err(|error| Error::damaged(&key, error))?.map(|base| base.from))
}

async fn is_permanent(repository: &Repository, name: &BackupName) -> Result<bool> {
    let metadata: ExtendedMetadata = repository.get_json(&layout::metadata_key(name)).await?;
    Ok(metadata.is_permanent)
}

/// An error if a permanent backup is based on `name`, over however many others.
async fn refuse_if_needed(repository: &Repository, name: &BackupName) -> Result<()> {
    let bases: BTreeMap<BackupName, BackupName> = stream::iter(backups::list(repository).await?)
        .map(|backup| async move { Ok::<_, Error>((base(repository, &backup.name).await?, backup.name)) })
        .buffer_unordered(REQUESTS_AT_ONCE)
        .try_filter_map(|(base, name)| async move { Ok(base.map(|base| (name, base))) })
        .try_collect()
        .await?;
    for dependant in dependants(&bases, name) {
        if is_permanent(repository, &dependant).await? {
            let what = format!(
                "Can't mark backup '{name}' as impermanent. There is permanent increment backup that depends on this \
                 backup: {dependant}"
            );
            return Err(Error::refused(what, format!("mark {dependant} as impermanent first")));
        }
    }
    Ok(())
}

/// All that is based on `name`; `bases` has the base of every delta.
pub fn dependants(bases: &BTreeMap<BackupName, BackupName>, name: &BackupName) -> Vec<BackupName> {
    let (mut found, mut at) = (vec![name.clone()], 0);
    while let Some(parent) = found.get(at).cloned() {
        let children = bases.iter().filter(|(_, base)| **base == parent).map(|(child, _)| child.clone());
        let new: Vec<_> = children.filter(|child| !found.contains(child)).collect();
        found.extend(new);
        at += 1;
    }
    found.remove(0);
    found
}

/// Everything else in the document stays as it is, keys unknown to this release included.
async fn rewrite(repository: &Repository, name: &BackupName, permanent: bool) -> Result<()> {
    let key = layout::metadata_key(name);
    let document = with_mark(&key, &repository.store().get(&key).await?, permanent)?;
    Ok(repository.store().put(&key, document).await?)
}

/// The document `bytes` with another value of `is_permanent`.
pub fn with_mark(key: &str, bytes: &[u8], permanent: bool) -> Result<Bytes> {
    let mut document: Value = go_json::from_slice(key, bytes).map_err(|error| Error::damaged(key, error))?;
    let fields = document.as_object_mut().ok_or_else(|| Error::damaged(key, "it is no JSON object"))?;
    fields.insert("is_permanent".to_owned(), Value::Bool(permanent));
    Ok(go_json::to_vec(&document).into())
}

#[cfg(test)]
#[path = "mark_tests.rs"]
mod tests;
