//! `backup-mark`: keep a backup of the cluster from being deleted, or no longer.
//!
//! Marked: the segments first, each chain from its full backup on, then the cluster's sentinels. Unmarked: the other way
//! round. Whenever that is cut off, no backup that the cluster calls permanent has a segment that may be deleted.

use std::collections::BTreeMap;

use bytes::Bytes;
use clap::Args;
use coordinator::catalog::marking::{StoredDocument, chain, rewrites};
use coordinator::catalog::{self, select};
use formats::cluster::{ClusterSentinel, RestorePoint};
use formats::lease::LeaseKind;
use formats::{BackupName, go_json, layout};
use futures::stream::{self, StreamExt, TryStreamExt};
use segment_agent::cli;
use segment_agent::mark;
use segment_agent::repository::Repository;

use crate::error::{Error, Result};
use crate::session::Session;

/// Requests under way at once.
const REQUESTS_AT_ONCE: usize = 16;

/// Keep a backup of the cluster from being deleted, or no longer
///
/// A delta needs what it is based on, so that is kept as well; and what a permanent delta is based on cannot be given up before
/// the delta is.
#[derive(Debug, Args)]
pub struct BackupMarkCluster {
    #[command(flatten)]
    arguments: cli::BackupMark,
}

/// The cluster's documents.
struct Folder {
    documents: Vec<StoredDocument>,
    sentinels: BTreeMap<BackupName, ClusterSentinel>,
}

pub async fn run(session: &Session, command: &BackupMarkCluster) -> Result<()> {
    let cli::BackupMark { backup_name, impermanent } = &command.arguments;
    let repository = session.repository()?;
    let work = format!("marking backup {backup_name}");
    let (name, changed) = session
        .under_lease(&repository, LeaseKind::Read, &work, async |_| {
            let folder = Folder::read(&repository).await?;
            let name = folder.find(backup_name)?;
            let changed = match impermanent {
                true => unmark(&repository, folder, &name).await?,
                false => make_permanent(&repository, &name).await?,
            };
            Ok((name, changed))
        })
        .await?;
    let state = if *impermanent { "impermanent" } else { "permanent" };
    if changed.is_empty() {
        tracing::warn!("Backup {name} is already marked as {state}, ignoring...");
    }
    for backup in changed {
        tracing::info!("backup {backup} is {state} now");
    }
    Ok(())
}

/// Makes the backup `name` and all that it is based on permanent; the order of the backups stays. For a caller that holds a
/// lease.
pub async fn make_permanent(repository: &Repository, name: &BackupName) -> Result<Vec<BackupName>> {
    mark_chain(repository, Folder::read(repository).await?, name).await
}

async fn mark_chain(repository: &Repository, folder: Folder, name: &BackupName) -> Result<Vec<BackupName>> {
    let chain = chain(&folder.bases()?, name);
    if let Some(missing) = chain.iter().find(|backup| !folder.sentinels.contains_key(*backup)) {
        return Err(catalog::Error::NoSuchBackup { name: missing.to_string() }.into());
    }
    let marked = mark_segments(repository, &folder.sentinels[name], true).await?;
    let wanted: Vec<_> = chain.into_iter().filter(|backup| !folder.sentinels[backup].is_permanent).collect();
    folder.store(repository, &wanted, true).await?;
    Ok(if wanted.is_empty() && marked > 0 { vec![name.clone()] } else { wanted })
}

async fn unmark(repository: &Repository, folder: Folder, name: &BackupName) -> Result<Vec<BackupName>> {
    let permanent = |backup: &&BackupName| folder.sentinels.get(*backup).is_some_and(|sentinel| sentinel.is_permanent);
    if let Some(dependant) = mark::dependants(&folder.bases()?, name).iter().find(permanent) {
        let what = format!(
            "Can't mark backup '{name}' as impermanent. There is permanent increment backup that depends on this backup: \
             {dependant}"
        );
        return Err(Error::refused(what, format!("mark {dependant} as impermanent first")));
    }
    let sentinel = folder.sentinels[name].clone();
    // Refusals of a segment come before the first change.
    for segment in &sentinel.segments {
        mark::plan(&repository.segment(segment.content_id), &segment.backup_name, false).await?;
    }
    let wanted = if sentinel.is_permanent { vec![name.clone()] } else { Vec::new() };
    folder.store(repository, &wanted, false).await?;
    let marked = mark_segments(repository, &sentinel, false).await?;
    Ok(if wanted.is_empty() && marked > 0 { vec![name.clone()] } else { wanted })
}

/// Returns how many documents were changed.
async fn mark_segments(repository: &Repository, sentinel: &ClusterSentinel, permanent: bool) -> Result<usize> {
    let marked = stream::iter(&sentinel.segments)
        .map(|segment| async move {
            let part = repository.segment(segment.content_id);
            Ok::<_, Error>(mark::mark(&part, &segment.backup_name, permanent).await?.len())
        })
        .buffer_unordered(REQUESTS_AT_ONCE);
    let counts: Vec<usize> = marked.try_collect().await?;
    Ok(counts.into_iter().sum())
}

impl Folder {
    /// A document that cannot be read could not keep its place in the order, so it is an error.
    async fn read(repository: &Repository) -> Result<Self> {
        let objects = repository.store().list_folder(layout::BASEBACKUPS).await?.objects;
        let bodies: Vec<Bytes> = stream::iter(&objects)
            .map(|object| repository.store().get(&object.key))
            .buffered(REQUESTS_AT_ONCE)
            .try_collect()
            .await?;
        let mut folder = Self { documents: Vec::new(), sentinels: BTreeMap::new() };
        for (object, body) in objects.into_iter().zip(bodies) {
            let finish_time = if let Some(name) = layout::backup_name_of_sentinel_key(&object.key) {
                let sentinel: ClusterSentinel =
                    go_json::from_slice(&object.key, &body).map_err(catalog::Error::from)?;
                let finish_time = sentinel.finish_time;
                folder.sentinels.insert(name, sentinel);
                finish_time
            } else if layout::restore_point_name_of_key(&object.key).is_some() {
                let point: RestorePoint = go_json::from_slice(&object.key, &body).map_err(catalog::Error::from)?;
                point.finish_time
            } else {
                continue;
            };
            let (key, modified) = (object.key, object.modified);
            folder.documents.push(StoredDocument { key, modified, finish_time, body });
        }
        Ok(folder)
    }

    fn find(&self, text: &str) -> Result<BackupName> {
        if text == select::LATEST {
            let latest = self.documents.iter().filter_map(|document| {
                layout::backup_name_of_sentinel_key(&document.key).map(|name| (document.modified, name))
            });
            return Ok(latest.max().ok_or(catalog::Error::NoBackups)?.1);
        }
        let name = BackupName::new(text).map_err(catalog::Error::from)?;
        match self.sentinels.contains_key(&name) {
            true => Ok(name),
            false => Err(catalog::Error::NoSuchBackup { name: text.to_owned() }.into()),
        }
    }

    fn bases(&self) -> Result<BTreeMap<BackupName, BackupName>> {
        let mut bases = BTreeMap::new();
        for (name, sentinel) in &self.sentinels {
            if let Some(base) = sentinel.increment_base().map_err(catalog::Error::from)? {
                bases.insert(name.clone(), base.from);
            }
        }
        Ok(bases)
    }

    /// Marks `wanted` and keeps the order in which the documents were stored.
    async fn store(self, repository: &Repository, wanted: &[BackupName], permanent: bool) -> Result<()> {
        let mut changed = BTreeMap::new();
        for document in &self.documents {
            if layout::backup_name_of_sentinel_key(&document.key).is_some_and(|name| wanted.contains(&name)) {
                changed.insert(document.key.clone(), mark::with_mark(&document.key, &document.body, permanent)?);
            }
        }
        let known = self.sentinels;
        let rewrites = rewrites(self.documents, &changed);
        for (key, body) in &rewrites {
            repository.store().put(key, body.clone()).await?;
        }
        if rewrites.is_empty() {
            return Ok(());
        }
        // A backup that ended meanwhile belongs behind all others.
        for object in repository.store().list_folder(layout::BASEBACKUPS).await?.objects {
            if layout::backup_name_of_sentinel_key(&object.key).is_some_and(|name| !known.contains_key(&name)) {
                let body = repository.store().get(&object.key).await?;
                repository.store().put(&object.key, body).await?;
            }
        }
        Ok(())
    }
}
