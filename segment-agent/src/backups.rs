//! Finding a backup of one repository by what a person calls it.

use formats::segment::ExtendedMetadata;
use formats::{BackupName, layout};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::repository::Repository;

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

/// Names of all backups, in the order in which their sentinels were stored.
async fn all(repository: &Repository) -> Result<Vec<BackupName>> {
    let mut objects = repository.store().list_folder(layout::BASEBACKUPS).await?.objects;
    objects.sort_by_key(|object| object.modified);
    Ok(objects.iter().filter_map(|object| layout::backup_name_of_sentinel_key(&object.key)).collect())
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
