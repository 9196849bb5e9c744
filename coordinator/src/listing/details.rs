//! The long list: what the sentinels say.

use std::io::{self, Write};

use formats::Timestamp;
use pgdata::SystemIdentifier;
use serde::Serialize;
use serde_json::Value;

use super::table::{Cell, Column, Table};
use super::{Layout, write_list};
use crate::catalog::BackupDetail;

const COLUMNS: [Column; 7] = [
    Column { name: "name", heading: "NAME" },
    Column { name: "restore_point", heading: "RESTORE POINT" },
    Column { name: "start_time", heading: "START TIME" },
    Column { name: "finish_time", heading: "FINISH TIME" },
    Column { name: "hostname", heading: "HOSTNAME" },
    Column { name: "gp_version", heading: "GP VERSION" },
    Column { name: "is_permanent", heading: "PERMANENT" },
];

/// The order of the keys is part of the format.
#[derive(Serialize)]
struct Row<'a> {
    #[serde(rename = "Name")]
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    restore_point: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_data: Option<Value>,
    start_time: Timestamp,
    finish_time: Timestamp,
    #[serde(rename = "date_fmt", skip_serializing_if = "str::is_empty")]
    date_format: &'a str,
    hostname: &'a str,
    gp_version: &'a str,
    gp_flavor: &'a str,
    is_permanent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_identifier: Option<SystemIdentifier>,
    uncompressed_size: i64,
    compressed_size: i64,
    data_catalog_size: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    increment_from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    increment_full_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    increment_count: Option<u32>,
}

/// `backup-list --detail`, by finish time; those of one finish time by name.
pub fn backup_details(backups: &[BackupDetail], layout: Layout, out: &mut impl Write) -> io::Result<()> {
    let mut sorted: Vec<&BackupDetail> = backups.iter().collect();
    sorted.sort_by_key(|backup| (backup.sentinel.finish_time, &backup.name));
    let rows: Vec<Row<'_>> = sorted.into_iter().map(row).collect();
    let table = Table { columns: &COLUMNS, rows: rows.iter().map(cells).collect() };
    write_list(layout, &table, &rows, "No backups found", out)
}

fn row(backup: &BackupDetail) -> Row<'_> {
    let sentinel = &backup.sentinel;
    let mut user_data = sentinel.user_data.clone();
    if let Some(value) = &mut user_data {
        value.sort_all_objects();
    }
    Row {
        name: backup.name.as_str(),
        restore_point: sentinel.restore_point.as_deref(),
        user_data,
        start_time: sentinel.start_time,
        finish_time: sentinel.finish_time,
        date_format: &sentinel.date_format,
        hostname: &sentinel.hostname,
        gp_version: &sentinel.gp_version,
        gp_flavor: &sentinel.gp_flavor,
        is_permanent: sentinel.is_permanent,
        system_identifier: sentinel.system_identifier,
        uncompressed_size: sentinel.uncompressed_size,
        compressed_size: sentinel.compressed_size,
        data_catalog_size: sentinel.data_catalog_size,
        increment_from: sentinel.increment_from.as_ref().map(|name| name.as_str()),
        increment_full_name: sentinel.increment_full_name.as_ref().map(|name| name.as_str()),
        increment_count: sentinel.increment_count,
    }
}

fn cells(row: &Row<'_>) -> Vec<Cell> {
    vec![
        Cell::text(row.name),
        Cell::text(row.restore_point.unwrap_or("-")),
        Cell::Time(row.start_time),
        Cell::Time(row.finish_time),
        Cell::text(row.hostname),
        Cell::text(row.gp_version),
        Cell::text(if row.is_permanent { "true" } else { "false" }),
    ]
}
