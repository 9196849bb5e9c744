//! The short lists: names and modification times.

use std::io::{self, Write};

use chrono::{DateTime, Utc};
use formats::{BackupName, Timestamp};
use serde::Serialize;

use super::table::{Cell, Column, Table};
use super::{Layout, write_list};
use crate::backups::Backup;

/// The columns that every list of backups begins with.
pub(super) const COLUMNS: [Column; 4] = [
    Column { name: "backup_name", heading: "BACKUP NAME" },
    Column { name: "modified", heading: "MODIFIED" },
    Column { name: "wal_file_name", heading: "WAL FILE NAME" },
    Column { name: "storage_name", heading: "STORAGE NAME" },
];

/// In place of a WAL file: those of a cluster begin in many.
const NO_WAL_FILE: &str = "ZZZZZZZZZZZZZZZZZZZZZZZZ";
/// There is one storage, which WAL-G calls so.
const STORAGE_NAME: &str = "default";

/// A line of a short list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    backup_name: String,
    time: Timestamp,
    wal_file_name: String,
    storage_name: &'static str,
}

impl Entry {
    pub fn new(name: &str, modified: DateTime<Utc>) -> Self {
        let parsed = BackupName::new(name).ok();
        let wal_file = parsed.as_ref().and_then(BackupName::wal_file_name).unwrap_or(NO_WAL_FILE);
        Self {
            backup_name: name.to_owned(),
            time: modified.into(),
            wal_file_name: wal_file.to_owned(),
            storage_name: STORAGE_NAME,
        }
    }

    pub(super) fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::text(&self.backup_name),
            Cell::Time(self.time),
            Cell::text(&self.wal_file_name),
            Cell::text(self.storage_name),
        ]
    }
}

/// `backup-list`, in the order of `backups`.
pub fn backups(backups: &[Backup], layout: Layout, out: &mut impl Write) -> io::Result<()> {
    let list: Vec<_> = backups.iter().map(|backup| Entry::new(backup.name.as_str(), backup.modified)).collect();
    entries(&list, layout, "No backups found", out)
}

/// A list of `entries` in their order; `nothing` is for the log.
pub fn entries(entries: &[Entry], layout: Layout, nothing: &str, out: &mut impl Write) -> io::Result<()> {
    let table = Table { columns: &COLUMNS, rows: entries.iter().map(Entry::cells).collect() };
    write_list(layout, &table, entries, nothing, out)
}
