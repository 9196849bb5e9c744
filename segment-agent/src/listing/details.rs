//! The long list of one server's backups: what their metadata.json say.

use std::io::{self, Write};

use formats::segment::ExtendedMetadata;
use serde::Serialize;

use super::backups::Entry;
use super::table::{Cell, Column, Table};
use super::{Layout, write_list};
use crate::backups::BackupDetail;

const COLUMNS: [Column; 12] = {
    let [name, modified, wal_file_name, storage_name] = super::backups::COLUMNS;
    [
        name,
        modified,
        wal_file_name,
        storage_name,
        Column { name: "start_time", heading: "START TIME" },
        Column { name: "finish_time", heading: "FINISH TIME" },
        Column { name: "hostname", heading: "HOSTNAME" },
        Column { name: "data_dir", heading: "DATADIR" },
        Column { name: "pg_version", heading: "PG VERSION" },
        Column { name: "start_lsn", heading: "START LSN" },
        Column { name: "finish_lsn", heading: "FINISH LSN" },
        Column { name: "is_permanent", heading: "PERMANENT" },
    ]
};

/// A backup as JSON: the short list's keys, then those of metadata.json.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BackupFields {
    #[serde(flatten)]
    entry: Entry,
    #[serde(flatten)]
    metadata: ExtendedMetadata,
}

pub fn backup_fields(backup: &BackupDetail) -> BackupFields {
    let mut metadata = backup.metadata.clone();
    if let Some(value) = &mut metadata.user_data {
        value.sort_all_objects();
    }
    BackupFields { entry: Entry::new(backup.name.as_str(), backup.modified), metadata }
}

/// `backup-list --detail`, in the order of `backups`.
pub fn backup_details(backups: &[BackupDetail], layout: Layout, out: &mut impl Write) -> io::Result<()> {
    let rows: Vec<_> = backups.iter().map(backup_fields).collect();
    let table = Table { columns: &COLUMNS, rows: rows.iter().map(cells).collect() };
    write_list(layout, &table, &rows, "No backups found", out)
}

fn cells(row: &BackupFields) -> Vec<Cell> {
    let metadata = &row.metadata;
    let mut cells = row.entry.cells();
    cells.extend([
        Cell::Time(metadata.start_time),
        Cell::Time(metadata.finish_time),
        Cell::text(&metadata.hostname),
        Cell::text(&metadata.data_dir),
        Cell::text(&metadata.pg_version.to_string()),
        Cell::text(&metadata.start_lsn.to_string()),
        Cell::text(&metadata.finish_lsn.to_string()),
        Cell::text(if metadata.is_permanent { "true" } else { "false" }),
    ]);
    cells
}
