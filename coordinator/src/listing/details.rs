//! The long list: what the sentinels say.

use std::collections::BTreeMap;
use std::io::{self, Write};

use formats::proof::{Proof, ProofKind};
use formats::{BackupName, Timestamp};
use pgdata::SystemIdentifier;
use serde::Serialize;
use serde_json::Value;

use super::table::{Cell, Column, Table};
use super::{Layout, write_list};
use crate::catalog::BackupDetail;

/// The last three are Damson's own and stand only where some backup was proved.
const COLUMNS: [Column; 10] = [
    Column { name: "name", heading: "NAME" },
    Column { name: "restore_point", heading: "RESTORE POINT" },
    Column { name: "start_time", heading: "START TIME" },
    Column { name: "finish_time", heading: "FINISH TIME" },
    Column { name: "hostname", heading: "HOSTNAME" },
    Column { name: "gp_version", heading: "GP VERSION" },
    Column { name: "is_permanent", heading: "PERMANENT" },
    Column { name: "proved", heading: "PROVED" },
    Column { name: "proof", heading: "PROOF" },
    Column { name: "proof_age", heading: "PROOF AGE" },
];
const COLUMNS_OF_WAL_G: usize = 7;

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
    /// Damson's own, where the backup was proved.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_proof: Option<LastProof>,
}

#[derive(Serialize)]
struct LastProof {
    kind: ProofKind,
    at: Timestamp,
    age_seconds: i64,
    ok: bool,
    duration_seconds: f64,
}

/// The newest proof of each backup that has one, and the time that it is now.
pub struct Proofs {
    pub newest: BTreeMap<BackupName, Proof>,
    pub now: Timestamp,
}

impl Proofs {
    fn last(&self, name: &BackupName) -> Option<LastProof> {
        let proof = self.newest.get(name)?;
        let age_seconds = (self.now.0 - proof.at.0).num_seconds().max(0);
        let (kind, at, ok, duration_seconds) = (proof.kind, proof.at, proof.ok, proof.duration_seconds);
        Some(LastProof { kind, at, age_seconds, ok, duration_seconds })
    }
}

/// `backup-list --detail`, by finish time; those of one finish time by name.
pub fn backup_details(
    backups: &[BackupDetail],
    proofs: &Proofs,
    layout: Layout,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut sorted: Vec<&BackupDetail> = backups.iter().collect();
    sorted.sort_by_key(|backup| (backup.sentinel.finish_time, &backup.name));
    let rows: Vec<Row<'_>> = sorted.into_iter().map(|backup| row(backup, proofs)).collect();
    let is_proved = rows.iter().any(|row| row.last_proof.is_some());
    let columns = if is_proved { COLUMNS.as_slice() } else { &COLUMNS[..COLUMNS_OF_WAL_G] };
    let cells = rows.iter().map(|row| cells(row).into_iter().take(columns.len()).collect());
    let table = Table { columns, rows: cells.collect() };
    write_list(layout, &table, &rows, "No backups found", out)
}

fn row<'a>(backup: &'a BackupDetail, proofs: &Proofs) -> Row<'a> {
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
        last_proof: proofs.last(&backup.name),
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
        row.last_proof.as_ref().map_or_else(|| Cell::text("-"), |proof| Cell::Time(proof.at)),
        Cell::text(row.last_proof.as_ref().map_or("-", result)),
        Cell::text(&row.last_proof.as_ref().map_or_else(|| "-".to_owned(), |proof| age(proof.age_seconds))),
    ]
}

fn result(proof: &LastProof) -> &'static str {
    match (proof.kind, proof.ok) {
        (ProofKind::Verify, true) => "verify:ok",
        (ProofKind::Verify, false) => "verify:DAMAGED",
        (ProofKind::Drill, true) => "drill:ok",
        (ProofKind::Drill, false) => "drill:FAILED",
    }
}

/// In the largest unit that fits: `59s`, `12m`, `3h`, `40d`.
fn age(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
