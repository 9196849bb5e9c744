//! Finding a backup of one repository by what a person calls it.

use chrono::{DateTime, Utc};
use formats::segment::ExtendedMetadata;
use formats::{BackupName, Timestamp, layout};
use futures::stream::{self, StreamExt};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::repository::Repository;

/// Documents asked for at once.
const REQUESTS_AT_ONCE: usize = 16;

/// A backup as a listing of the storage shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    pub name: BackupName,
    /// When the sentinel was stored, by the clock of the storage.
    pub modified: DateTime<Utc>,
}

/// A backup whose metadata.json was read.
#[derive(Clone, Debug, PartialEq)]
pub struct BackupDetail {
    pub name: BackupName,
    pub modified: DateTime<Utc>,
    pub metadata: ExtendedMetadata,
}

/// How a backup is asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// The one whose sentinel was stored last.
    Latest,
    Named(BackupName),
    /// The only one with equal user data.
    WithUserData(Value),
}

impl Wanted {
    /// `LATEST` or a name.
    pub fn parse(text: &str) -> Result<Self> {
        if text == "LATEST" {
            return Ok(Self::Latest);
        }
        let name = BackupName::new(text)
            .map_err(|error| Error::refused(error.to_string(), "list the backups with backup-list"))?;
        Ok(Self::Named(name))
    }
}

/// The backup that is wanted; an error if there is none, or more than one.
pub async fn find(repository: &Repository, wanted: &Wanted) -> Result<BackupName> {
    match wanted {
        Wanted::Named(name) => Ok(name.clone()),
        Wanted::Latest => all(repository).await?.pop().ok_or_else(|| none(repository)),
        Wanted::WithUserData(user_data) => with_user_data(repository, user_data).await,
    }
}

/// All backups, in the order in which their sentinels were stored. One listing.
pub async fn list(repository: &Repository) -> Result<Vec<Backup>> {
    let objects = repository.store().list_folder(layout::BASEBACKUPS).await?.objects;
    let backup = |object: &storage::ObjectInfo| {
        let name = layout::backup_name_of_sentinel_key(&object.key)?;
        Some(Backup { name, modified: object.modified })
    };
    let mut backups: Vec<Backup> = objects.iter().filter_map(backup).collect();
    backups.sort_by_key(|backup| backup.modified);
    Ok(backups)
}

/// What the metadata.json of `backups` say, in their order, and an error for each that cannot be read.
pub async fn details(repository: &Repository, backups: &[Backup]) -> (Vec<BackupDetail>, Vec<Error>) {
    let keys: Vec<_> = backups.iter().map(|backup| layout::metadata_key(&backup.name)).collect();
    let requests: Vec<_> = keys.iter().map(|key| repository.get_json::<ExtendedMetadata>(key)).collect();
    let documents: Vec<_> = stream::iter(requests).buffered(REQUESTS_AT_ONCE).collect().await;
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    for (backup, document) in backups.iter().zip(documents) {
        match document {
            Ok(metadata) => {
                found.push(BackupDetail { name: backup.name.clone(), modified: backup.modified, metadata });
            }
            Err(error) => unreadable.push(error),
        }
    }
    (found, unreadable)
}

/// By start time; in the order given if one of them is not known.
pub fn sort_by_start(backups: &mut [BackupDetail]) {
    if backups.iter().all(|backup| backup.metadata.start_time != Timestamp::default()) {
        backups.sort_by_key(|backup| backup.metadata.start_time);
    }
}

/// The one whose sentinel was stored last, if there is any.
pub async fn newest(repository: &Repository) -> Result<Option<BackupName>> {
    Ok(all(repository).await?.pop())
}

/// Names of all backups, in the order in which their sentinels were stored.
async fn all(repository: &Repository) -> Result<Vec<BackupName>> {
    Ok(list(repository).await?.into_iter().map(|backup| backup.name).collect())
}

async fn with_user_data(repository: &Repository, user_data: &Value) -> Result<BackupName> {
    let mut found = Vec::new();
    for name in all(repository).await? {
        let metadata: Option<ExtendedMetadata> = repository.find_json(&layout::metadata_key(&name)).await?;
        if metadata.is_some_and(|metadata| metadata.user_data.as_ref() == Some(user_data)) {
            found.push(name);
        }
    }
    match found.as_slice() {
        [] => Err(none(repository)),
        [name] => Ok(name.clone()),
        _ => {
            let names: Vec<_> = found.iter().map(BackupName::as_str).collect();
            Err(Error::refused(
                format!("several backups have this user data: {}", names.join(", ")),
                "ask for one of them by name",
            ))
        }
    }
}

fn none(repository: &Repository) -> Error {
    Error::refused(
        format!("No backups found in {}", repository.store().describe()),
        "check the storage prefix in the settings",
    )
}
