//! What `wal-verify` prints.

use std::io::{self, Write};

use formats::go_json;
use pgdata::TimelineId;
use serde::Serialize;

use super::verify::{Found, Status, Stretch};
use crate::listing::table::{Cell, Column, Table};

const COLUMNS: [Column; 5] = [
    Column { name: "timeline_id", heading: "TLI" },
    Column { name: "start_segment", heading: "START" },
    Column { name: "end_segment", heading: "END" },
    Column { name: "segments_count", heading: "SEGMENTS COUNT" },
    Column { name: "status", heading: "STATUS" },
];

/// The checks that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integrity: Option<Check<Vec<Stretch>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeline: Option<Check<Timelines>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check<D> {
    pub status: Status,
    pub details: D,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Timelines {
    pub current_timeline_id: TimelineId,
    pub highest_storage_timeline_id: TimelineId,
}

impl Report {
    /// Whether a check failed.
    pub fn is_failure(&self) -> bool {
        let integrity = self.integrity.as_ref().map(|check| check.status);
        let timeline = self.timeline.as_ref().map(|check| check.status);
        [integrity, timeline].contains(&Some(Status::Failure))
    }

    pub fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        if let Some(check) = &self.integrity {
            write_heading("integrity", check.status, out)?;
            let row = |stretch: &Stretch| {
                vec![
                    Cell::Right(stretch.timeline_id.to_string()),
                    Cell::text(&stretch.start_segment),
                    Cell::text(&stretch.end_segment),
                    Cell::Right(stretch.segments_count.to_string()),
                    Cell::Right(found_text(stretch.status).to_owned()),
                ]
            };
            Table { columns: &COLUMNS, rows: check.details.iter().map(row).collect() }.write_boxed_unnumbered(out)?;
        }
        if let Some(check) = &self.timeline {
            write_heading("timeline", check.status, out)?;
            writeln!(out, "Highest timeline found in storage: {}", check.details.highest_storage_timeline_id)?;
            writeln!(out, "Current cluster timeline: {}", check.details.current_timeline_id)?;
        }
        Ok(())
    }

    /// No line end, as WAL-G.
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&go_json::to_vec(self))
    }
}

fn write_heading(check: &str, status: Status, out: &mut impl Write) -> io::Result<()> {
    let status = match status {
        Status::Ok => "OK",
        Status::Warning => "WARNING",
        Status::Failure => "FAILURE",
    };
    writeln!(out, "[wal-verify] {check} check status: {status}")?;
    writeln!(out, "[wal-verify] {check} check details:")
}

fn found_text(found: Found) -> &'static str {
    match found {
        Found::Found => "FOUND",
        Found::Delayed => "MISSING_DELAYED",
        Found::Uploading => "MISSING_UPLOADING",
        Found::Lost => "MISSING_LOST",
    }
}
