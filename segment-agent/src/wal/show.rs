//! `wal-show`: the archive, timeline by timeline. The table and the JSON are WAL-G's.

use std::collections::BTreeMap;
use std::io::{self, Write};

use formats::go_json;
use pgdata::{Lsn, SegmentSize, TimelineHistory, TimelineId, WalName};
use serde::Serialize;

use super::contents::Contents;
use crate::backups::BackupDetail;
use crate::listing::table::{Cell, Column, Table};
use crate::listing::{BackupFields, backup_fields};

const COLUMNS: [Column; 9] = [
    Column { name: "id", heading: "TLI" },
    Column { name: "parent_id", heading: "PARENT TLI" },
    Column { name: "switch_point_lsn", heading: "SWITCHPOINT LSN" },
    Column { name: "start_segment", heading: "START SEGMENT" },
    Column { name: "end_segment", heading: "END SEGMENT" },
    Column { name: "segment_range_size", heading: "SEGMENT RANGE" },
    Column { name: "segments_count", heading: "SEGMENTS COUNT" },
    Column { name: "status", heading: "STATUS" },
    Column { name: "backups", heading: "BACKUPS COUNT" },
];

/// One timeline of the archive. The order of the keys is part of the format.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timeline {
    id: TimelineId,
    /// 0 without a history file.
    parent_id: TimelineId,
    switch_point_lsn: Lsn,
    start_segment: String,
    end_segment: String,
    segments_count: usize,
    /// Newest first.
    missing_segments: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    backups: Vec<BackupFields>,
    /// Segments from the first to the last, missing ones included.
    segment_range_size: u64,
    status: &'static str,
}

/// The timelines that have log files, lowest first. `backups` are listed in their order with the timeline that holds all
/// of their log.
pub fn timelines(
    contents: &Contents,
    histories: &BTreeMap<TimelineId, TimelineHistory>,
    backups: &[BackupDetail],
    size: SegmentSize,
) -> Vec<Timeline> {
    let mut by_timeline = BTreeMap::<TimelineId, Vec<u64>>::new();
    for name in &contents.segments {
        by_timeline.entry(name.timeline).or_default().push(name.segment);
    }
    by_timeline
        .into_iter()
        .filter_map(|(id, segments)| timeline(id, &segments, histories.get(&id), backups, size))
        .collect()
}

/// `segments`: ascending.
fn timeline(
    id: TimelineId,
    segments: &[u64],
    history: Option<&TimelineHistory>,
    backups: &[BackupDetail],
    size: SegmentSize,
) -> Option<Timeline> {
    let (first, last) = (*segments.first()?, *segments.last()?);
    let name = |segment| WalName { timeline: id, segment }.file_name(size);
    let gaps = segments.windows(2).flat_map(|pair| pair[0] + 1..pair[1]);
    let mut missing_segments: Vec<String> = gaps.map(name).collect();
    missing_segments.reverse();
    let switch = history.and_then(|history| history.switches.last());
    let holds = |backup: &&BackupDetail| {
        let begin = backup.name.wal_file_name().and_then(|text| WalName::parse(text, size).ok());
        begin.is_some_and(|begin| begin.timeline == id)
            && size.segment_of(backup.metadata.start_lsn) >= first
            && size.segment_of(backup.metadata.finish_lsn) <= last
    };
    Some(Timeline {
        id,
        parent_id: switch.map_or(TimelineId(0), |switch| switch.timeline),
        switch_point_lsn: switch.map_or(Lsn(0), |switch| switch.switch_lsn),
        start_segment: name(first),
        end_segment: name(last),
        segments_count: segments.len(),
        status: if missing_segments.is_empty() { "OK" } else { "LOST_SEGMENTS" },
        missing_segments,
        backups: backups.iter().filter(holds).map(backup_fields).collect(),
        segment_range_size: last - first + 1,
    })
}

/// `wal-show`.
pub fn write_table(timelines: &[Timeline], with_backups: bool, out: &mut impl Write) -> io::Result<()> {
    let columns = if with_backups { &COLUMNS[..] } else { &COLUMNS[..COLUMNS.len() - 1] };
    let row = |timeline: &Timeline| {
        let mut cells = vec![
            Cell::Right(timeline.id.to_string()),
            Cell::Right(timeline.parent_id.to_string()),
            Cell::Right(timeline.switch_point_lsn.to_string()),
            Cell::text(&timeline.start_segment),
            Cell::text(&timeline.end_segment),
            Cell::Right(timeline.segment_range_size.to_string()),
            Cell::Right(timeline.segments_count.to_string()),
            Cell::text(timeline.status),
        ];
        if with_backups {
            cells.push(Cell::Right(timeline.backups.len().to_string()));
        }
        cells
    };
    Table { columns, rows: timelines.iter().map(row).collect() }.write_boxed_unnumbered(out)
}

/// `wal-show --detailed-json`; no line end, as WAL-G.
pub fn write_json(timelines: &[Timeline], out: &mut impl Write) -> io::Result<()> {
    out.write_all(&go_json::to_vec(timelines))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::known_backups;

    fn size() -> SegmentSize {
        SegmentSize::new(16 << 20).unwrap()
    }

    fn contents(timeline: u32, segments: impl Iterator<Item = u64>) -> Contents {
        let name = |segment| WalName { timeline: TimelineId(timeline), segment }.file_name(size()) + ".lz4";
        let names: Vec<String> = segments.map(name).collect();
        Contents::of_names(names.iter().map(String::as_str), size()).unwrap()
    }

    fn text(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// What WAL-G 3.0.9 printed.
    #[test]
    fn tables_and_json_are_wal_gs() {
        let mut backups = known_backups();
        backups.reverse();
        let whole = timelines(&contents(1, 1..=9), &BTreeMap::new(), &backups, size());
        assert_eq!(text(|out| write_table(&whole, true, out)), include_str!("expected/show.txt"));
        assert_eq!(text(|out| write_json(&whole, out)), include_str!("expected/show-json.txt"));
        let bare = timelines(&contents(1, 1..=9), &BTreeMap::new(), &[], size());
        assert_eq!(text(|out| write_table(&bare, false, out)), include_str!("expected/show-without-backups.txt"));
        assert_eq!(text(|out| write_json(&bare, out)), include_str!("expected/show-json-without-backups.txt"));
        assert_eq!(text(|out| write_table(&[], true, out)), include_str!("expected/show-empty.txt"));
        let lost = timelines(&contents(1, (1..=26).filter(|n| *n != 5)), &BTreeMap::new(), &[], size());
        assert_eq!(text(|out| write_json(&lost, out)), include_str!("expected/show-lost-json.txt"));
        let table = text(|out| write_table(&lost, true, out));
        assert_eq!(table, include_str!("expected/show-lost.txt").replace("            6 |\n", "            0 |\n"));
    }

    #[test]
    fn a_timeline_names_its_parent() {
        let history = TimelineHistory::parse("1\t0/3000158\tx\n").unwrap();
        let found =
            timelines(&contents(2, 3..=4), &BTreeMap::from([(TimelineId(2), history)]), &known_backups(), size());
        assert_eq!((found[0].parent_id, found[0].switch_point_lsn), (TimelineId(1), Lsn(0x0300_0158)));
        assert!(found[0].backups.is_empty());
    }
}
