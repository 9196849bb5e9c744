//! Errors of the catalog.

use formats::{NameError, Timestamp};

/// Why a catalog could not be read or nothing could be chosen from it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// The message names the object.
    #[error(transparent)]
    Document(#[from] formats::Error),
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("insufficient arguments: name a backup, LATEST, user data or a restore point")]
    NothingSelected,
    #[error("incorrect arguments. Specify target backup name OR target userdata, not both")]
    NameAndUserData,
    #[error("can't use both {flags}")]
    TwoRestorePoints { flags: &'static str },
    #[error("failed to read the user data {text:?} as JSON: {source}")]
    InvalidUserData { text: String, source: serde_json::Error },
    #[error("the time {text:?} of {flag} is not in RFC 3339, such as 2026-11-21T08:28:31Z: {source}")]
    InvalidTime { flag: &'static str, text: String, source: chrono::ParseError },
    #[error("No backups found")]
    NoBackups,
    #[error("No backups found with the specified user data{}", unreadable_note(*.unreadable))]
    NoBackupWithUserData { unreadable: usize },
    #[error("too many backups ({}) found with specified user data: {}; give the name of one", .names.len(), .names.join(" "))]
    SeveralBackups { names: Vec<String> },
    #[error("Backup '{name}' does not exist. backup-list shows those that do")]
    NoSuchBackup { name: String },
    #[error(
        "the sentinel of backup {name} lists no segments, so there is nothing to restore: it is damaged; choose another backup"
    )]
    NoSegments { name: String },
    #[error("backup {name} does not tell its restore point, so nobody knows up to where it needs the log")]
    NoRestorePointOfBackup { name: String },
    #[error("no restore points found that were finished at or before {time}")]
    NoRestorePointBefore { time: Timestamp },
    #[error(
        "failed to fetch metadata for restore point {name}: it does not exist; restore-point-list shows those that do"
    )]
    NoSuchRestorePoint { name: String },
    #[error(
        "failed to find matching backup (finished at or before the finish time {finish} of the restore point {point}){}",
        unreadable_note(*.unreadable)
    )]
    NoBackupBefore { point: String, finish: Timestamp, unreadable: usize },
    #[error(
        "{backup} backup finish time ({backup_finish}) is after the {point} provided restore point finish time \
         ({point_finish}): the backup cannot be recovered to an earlier point; choose an older backup"
    )]
    BackupAfterRestorePoint { backup: String, backup_finish: Timestamp, point: String, point_finish: Timestamp },
}

fn unreadable_note(unreadable: usize) -> String {
    match unreadable {
        0 => String::new(),
        1 => "; 1 sentinel could not be read".to_owned(),
        count => format!("; {count} sentinels could not be read"),
    }
}
