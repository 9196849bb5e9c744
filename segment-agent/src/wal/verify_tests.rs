use pgdata::Lsn;

use super::*;
use crate::listing::known_backups;
use crate::wal::report::{Check, Report, Timelines};

fn size() -> SegmentSize {
    SegmentSize::new(16 << 20).unwrap()
}

fn contents(names: impl Iterator<Item = (u32, u64)>) -> Contents {
    let segments = names.map(|(timeline, segment)| WalName { timeline: TimelineId(timeline), segment });
    Contents { segments: segments.collect(), ..Contents::default() }
}

fn integrity(contents: &Contents, lsn: u64, stop: u64, delayed: u64, has_backups: bool) -> Check<Vec<Stretch>> {
    let current = size().name_of(TimelineId(1), Lsn(lsn - 1));
    let patience = Patience { delayed, uploading: 2 };
    let patience = if delayed > 0 { Patience { uploading: 1, ..patience } } else { patience };
    let details = scan(contents, &TimelineHistory::default(), current, stop, patience, size());
    Check { status: integrity_status(&details, has_backups), details }
}

fn timeline(current: u32, highest: u32) -> Check<Timelines> {
    let (current, highest) = (TimelineId(current), TimelineId(highest));
    let details = Timelines { current_timeline_id: current, highest_storage_timeline_id: highest };
    Check { status: timeline_status(current, highest), details }
}

fn text(report: &Report) -> String {
    let mut out = Vec::new();
    report.write_text(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn json(report: &Report) -> String {
    let mut out = Vec::new();
    report.write_json(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// What WAL-G 3.0.9 printed.
#[test]
fn reports_are_wal_gs() {
    let whole = contents((1..=9).map(|n| (1, n)));
    let report = Report { integrity: Some(integrity(&whole, 0x0A00_0000, 2, 0, true)), timeline: Some(timeline(1, 1)) };
    assert_eq!(text(&report), include_str!("expected/verify.txt"));
    assert_eq!(json(&report), include_str!("expected/verify-json.txt"));
    assert!(!report.is_failure());

    let lost = contents((1..=0x1A).filter(|n| *n != 5).map(|n| (1, n)));
    let report = Report { integrity: Some(integrity(&lost, 0x2000_0000, 2, 0, true)), timeline: None };
    assert_eq!(text(&report), include_str!("expected/verify-lost.txt"));
    assert_eq!(json(&report), include_str!("expected/verify-lost-json.txt"));
    assert!(report.is_failure());
    let from_nine = Report { integrity: Some(integrity(&lost, 0x2000_0000, 9, 0, true)), timeline: None };
    assert_eq!(text(&from_nine), include_str!("expected/verify-backup-name.txt"));

    let delayed = Report { integrity: Some(integrity(&lost, 0x2000_0000, 2, 3, true)), timeline: Some(timeline(1, 1)) };
    let (theirs, ours) = (include_str!("expected/verify-delayed.txt"), text(&delayed));
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(theirs), sorted(&ours), "WAL-G prints the two checks in any order");
    let failed = Report { integrity: None, timeline: Some(timeline(2, 1)) };
    assert_eq!(json(&failed), include_str!("expected/verify-timeline-failure.txt"));
    assert!(failed.is_failure());

    let tail = contents((6..=9).map(|n| (1, n)));
    let report = Report { integrity: Some(integrity(&tail, 0x0900_0000, 1, 0, false)), timeline: None };
    assert_eq!(text(&report), include_str!("expected/verify-no-backups.txt"));
}

#[test]
fn the_scan_follows_the_history() {
    let history = TimelineHistory::parse("1\t0/5000158\tx\n").unwrap();
    let both = contents((2..=5).map(|n| (1, n)).chain((5..=7).map(|n| (2, n))));
    let current = WalName { timeline: TimelineId(2), segment: 8 };
    let patience = Patience { delayed: 0, uploading: 16 };
    let found = scan(&both, &history, current, 2, patience, size());
    let ranges: Vec<_> = found.iter().map(|s| (s.timeline_id.0, s.segments_count, s.status)).collect();
    assert_eq!(ranges, [(1, 3, Found::Found), (2, 3, Found::Found)]);
}

#[test]
fn the_oldest_backup_that_may_go_and_leads_here() {
    let mut backups = known_backups();
    let none = TimelineHistory::default();
    let (oldest, reasons) = oldest_backup(&backups, TimelineId(1), &none, size());
    assert_eq!((oldest.unwrap().1, reasons.len()), (2, 1));
    backups.iter_mut().for_each(|backup| backup.metadata.is_permanent = true);
    assert_eq!(oldest_backup(&backups, TimelineId(1), &none, size()).0, None);
    backups.iter_mut().for_each(|backup| backup.metadata.is_permanent = false);
    // Timeline 1 was left in segment 5: what began later on it does not lead to timeline 2.
    let history = TimelineHistory::parse("1\t0/5000158\tx\n").unwrap();
    let (oldest, reasons) = oldest_backup(&backups, TimelineId(2), &history, size());
    assert_eq!((oldest.unwrap().1, reasons.len()), (2, 2));
    let other = TimelineHistory::parse("3\t0/5000158\tx\n").unwrap();
    assert_eq!(oldest_backup(&backups, TimelineId(4), &other, size()).0, None);
}

#[test]
fn an_empty_archive() {
    let none = contents(std::iter::empty());
    let check = integrity(&none, 0x0300_0000, 1, 0, false);
    assert_eq!((check.status, check.details.len()), (Status::Warning, 1));
    assert_eq!(timeline(1, 0).status, Status::Warning);
    assert!(integrity(&none, 0x0200_0000, 1, 0, false).details.is_empty());
}
