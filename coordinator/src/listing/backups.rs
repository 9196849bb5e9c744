//! The short lists: names and modification times.

use std::io::{self, Write};

use chrono::{DateTime, Utc};
use formats::{BackupName, Timestamp};
use serde::Serialize;

use super::table::{Cell, Column, Table};
use super::{Layout, write_list};
use crate::catalog::{Backup, RestorePointEntry};

const COLUMNS: [Column; 4] = [
    Column { name: "backup_name", heading: "BACKUP NAME" },
    Column { name: "modified", heading: "MODIFIED" },
    Column { name: "wal_file_name", heading: "WAL FILE NAME" },
    Column { name: "storage_name", heading: "STORAGE NAME" },
];

/// In place of a WAL file: those of a cluster begin in many.
const NO_WAL_FILE: &str = "ZZZZZZZZZZZZZZZZZZZZZZZZ";
/// There is one storage, which WAL-G calls so.
const STORAGE_NAME: &str = "default";

#[derive(Serialize)]
struct Row<'a> {
    backup_name: &'a str,
    time: Timestamp,
    wal_file_name: &'a str,
    storage_name: &'static str,
}

/// `backup-list`, in the order of `backups`.
pub fn backups(backups: &[Backup], layout: Layout, out: &mut impl Write) -> io::Result<()> {
    let rows = backups.iter().map(|backup| row(backup.name.as_str(), Some(&backup.name), backup.modified));
    write_rows(&rows.collect::<Vec<_>>(), layout, "No backups found", out)
}

/// `restore-point-list`, in the order of `points`; WAL-G calls the first column `backup_name` here, too.
pub fn restore_points(points: &[RestorePointEntry], layout: Layout, out: &mut impl Write) -> io::Result<()> {
    let names: Vec<_> = points.iter().map(|point| BackupName::new(point.name.as_str()).ok()).collect();
    let rows = points.iter().zip(&names).map(|(point, name)| row(&point.name, name.as_ref(), point.modified));
    write_rows(&rows.collect::<Vec<_>>(), layout, "No restore points found", out)
}

fn row<'a>(text: &'a str, name: Option<&'a BackupName>, modified: DateTime<Utc>) -> Row<'a> {
    Row {
        backup_name: text,
        time: modified.into(),
        wal_file_name: name.and_then(BackupName::wal_file_name).unwrap_or(NO_WAL_FILE),
        storage_name: STORAGE_NAME,
    }
}

fn write_rows(rows: &[Row<'_>], layout: Layout, nothing: &str, out: &mut impl Write) -> io::Result<()> {
    let cells = |row: &Row<'_>| {
        vec![
            Cell::text(row.backup_name),
            Cell::Time(row.time),
            Cell::text(row.wal_file_name),
            Cell::text(row.storage_name),
        ]
    };
    let table = Table { columns: &COLUMNS, rows: rows.iter().map(cells).collect() };
    write_list(layout, &table, rows, nothing, out)
}
