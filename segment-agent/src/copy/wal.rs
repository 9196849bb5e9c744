//! Which objects of the archive a backup needs: pure.

use std::collections::{BTreeMap, BTreeSet};

use codec::Codec;
use formats::BackupName;
use pgdata::{Lsn, SegmentSize, TimelineId, WalFileName, WalName};

/// The log that must come along with a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogNeed {
    pub backup: BackupName,
    /// On which the backup began.
    pub timeline: TimelineId,
    pub from: Lsn,
    pub to: LogEnd,
    /// Without it the copy fails; otherwise the backup comes along as a part of another one, and a hole is only told.
    pub is_required: bool,
}

/// Up to where the log is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogEnd {
    /// To the last byte before this position.
    At { lsn: Lsn, timeline: TimelineId },
    /// As far as the archive goes.
    Newest,
}

/// Objects of the log with their sizes, and what is missing, once in words for each need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selected {
    pub objects: BTreeMap<String, u64>,
    pub missing: Vec<(String, bool)>,
}

/// `archive`: the objects of the folder of the log. History files are always taken.
pub(super) fn select(archive: &BTreeMap<String, u64>, needs: &[LogNeed], size: SegmentSize) -> Selected {
    let entries: Vec<Entry<'_>> = archive.iter().filter_map(|(key, bytes)| Entry::of(key, *bytes, size)).collect();
    let mut selected = Selected::default();
    for entry in &entries {
        if entry.name.is_none() {
            selected.objects.insert(entry.key.to_owned(), entry.bytes);
        }
    }
    let whole: BTreeSet<WalName> =
        entries.iter().filter(|entry| entry.is_whole).filter_map(|entry| entry.name).collect();
    for need in needs {
        let window = Window::of(need, &whole, size);
        if let Some(what) = window.hole(&whole, size) {
            selected.missing.push((
                format!("backup {} needs log file {what}, which is not archived", need.backup),
                need.is_required,
            ));
        }
        let inside = entries.iter().filter(|entry| entry.name.is_some_and(|name| window.holds(name)));
        selected.objects.extend(inside.map(|entry| (entry.key.to_owned(), entry.bytes)));
    }
    selected
}

/// An object of the archive. `name` is absent for a history file.
struct Entry<'a> {
    key: &'a str,
    bytes: u64,
    name: Option<WalName>,
    is_whole: bool,
}

impl<'a> Entry<'a> {
    /// Everything that begins with the name of a log file belongs to it: `.partial`, `.backup`, `_delta`, `.json`.
    fn of(key: &'a str, bytes: u64, size: SegmentSize) -> Option<Self> {
        let file = key.rsplit('/').next().unwrap_or(key);
        let kind = WalFileName::classify(Codec::from_file_name(file).0);
        if kind.is_history() {
            return Some(Self { key, bytes, name: None, is_whole: false });
        }
        let name = WalName::parse(file.get(..24)?, size).ok()?;
        Some(Self { key, bytes, name: Some(name), is_whole: bytes > 0 && matches!(kind, WalFileName::Segment { .. }) })
    }
}

/// Log files from a timeline and number to another.
struct Window {
    first: u64,
    last: u64,
    from: TimelineId,
    to: TimelineId,
}

impl Window {
    fn of(need: &LogNeed, whole: &BTreeSet<WalName>, size: SegmentSize) -> Self {
        let before = |lsn: Lsn| size.segment_of(Lsn(lsn.0.saturating_sub(1)));
        let first = before(need.from);
        let (last, to) = match need.to {
            LogEnd::At { lsn, timeline } => (before(lsn).max(first), timeline.max(need.timeline)),
            LogEnd::Newest => {
                let later = whole.iter().filter(|name| name.timeline >= need.timeline && name.segment >= first);
                let last = later.clone().map(|name| name.segment).max().unwrap_or(first);
                (last, later.map(|name| name.timeline).max().unwrap_or(need.timeline))
            }
        };
        Self { first, last, from: need.timeline, to }
    }

    fn holds(&self, name: WalName) -> bool {
        (self.first..=self.last).contains(&name.segment) && (self.from..=self.to).contains(&name.timeline)
    }

    /// The first file that is missing: of those of the first timeline from the beginning, of the last one to the end, and of
    /// each between its own first and last.
    fn hole(&self, whole: &BTreeSet<WalName>, size: SegmentSize) -> Option<String> {
        let text = |timeline, segment| WalName { timeline, segment }.file_name(size);
        let mut by_timeline = BTreeMap::<TimelineId, Vec<u64>>::new();
        for name in whole.iter().filter(|name| self.holds(**name)) {
            by_timeline.entry(name.timeline).or_default().push(name.segment);
        }
        let ends = |timeline: &TimelineId, at: u64, end: fn(&[u64]) -> Option<&u64>| {
            by_timeline.get(timeline).is_none_or(|segments| end(segments) != Some(&at))
        };
        if ends(&self.from, self.first, <[u64]>::first) {
            return Some(text(self.from, self.first));
        }
        for (timeline, segments) in &by_timeline {
            if let Some(pair) = segments.windows(2).find(|pair| pair[1] > pair[0] + 1) {
                return Some(text(*timeline, pair[0] + 1));
            }
        }
        // A timeline begins in the file in which its parent ends, or in the one behind it.
        let mut reached = self.first;
        for (timeline, segments) in &by_timeline {
            let (Some(first), Some(last)) = (segments.first(), segments.last()) else { continue };
            if *first > reached + 1 {
                return Some(text(*timeline, reached + 1));
            }
            reached = reached.max(*last);
        }
        ends(&self.to, self.last, <[u64]>::last).then(|| text(self.to, self.last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size() -> SegmentSize {
        SegmentSize::new(16 << 20).unwrap()
    }

    fn archive(files: &[(u32, u64)]) -> BTreeMap<String, u64> {
        let name = |(timeline, segment): &(u32, u64)| {
            let name = WalName { timeline: TimelineId(*timeline), segment: *segment }.file_name(size());
            (format!("wal_005/{name}.lz4"), 7)
        };
        files.iter().map(name).collect()
    }

    fn need(from: u64, to: LogEnd) -> LogNeed {
        let backup = "base_000000010000000000000002".parse().unwrap();
        LogNeed { backup, timeline: TimelineId(1), from: Lsn(from), to, is_required: true }
    }

    fn at(lsn: u64, timeline: u32) -> LogEnd {
        LogEnd::At { lsn: Lsn(lsn), timeline: TimelineId(timeline) }
    }

    fn names(selected: &Selected) -> Vec<String> {
        selected.objects.keys().map(|key| key.trim_start_matches("wal_005/").to_owned()).collect()
    }

    #[test]
    fn a_backups_own_stretch_and_what_belongs_to_it() {
        let mut archive = archive(&[(1, 1), (1, 2), (1, 3), (1, 4), (2, 3)]);
        for name in
            ["00000002.history.lz4", "000000010000000000000002.00000028.backup.lz4", "odd", "0000000100000000000000"]
        {
            archive.insert(format!("wal_005/{name}"), 1);
        }
        let found = select(&archive, &[need(0x0200_0028, at(0x0300_0100, 1))], size());
        assert_eq!(found.missing, []);
        let expected = [
            "000000010000000000000002.00000028.backup.lz4",
            "000000010000000000000002.lz4",
            "000000010000000000000003.lz4",
            "00000002.history.lz4",
        ];
        assert_eq!(names(&found), expected);
        // On the boundary, the end lies in the file before.
        assert_eq!(select(&archive, &[need(0x0200_0028, at(0x0300_0000, 1))], size()).objects.len(), 3);
    }

    #[test]
    fn holes_are_named() {
        let gone = |files: &[(u32, u64)], to| {
            let found = select(&archive(files), &[need(0x0200_0028, to)], size());
            found
                .missing
                .first()
                .map(|(text, _)| text.split_whitespace().nth(5).unwrap().trim_end_matches(',').to_owned())
        };
        let end = at(0x0500_0001, 1);
        assert_eq!(gone(&[(1, 2), (1, 3), (1, 4), (1, 5)], end), None);
        assert_eq!(gone(&[(1, 3), (1, 4), (1, 5)], end).unwrap(), "000000010000000000000002");
        assert_eq!(gone(&[(1, 2), (1, 3), (1, 5)], end).unwrap(), "000000010000000000000004");
        assert_eq!(gone(&[(1, 2), (1, 3), (1, 4)], end).unwrap(), "000000010000000000000005");
        assert_eq!(gone(&[], end).unwrap(), "000000010000000000000002");
        // Over a switch of timelines.
        let end = at(0x0500_0001, 2);
        assert_eq!(gone(&[(1, 2), (1, 3), (2, 3), (2, 4), (2, 5)], end), None);
        assert_eq!(gone(&[(1, 2), (2, 3), (2, 4), (2, 5)], end), None);
        assert_eq!(gone(&[(1, 2), (2, 4), (2, 5)], end).unwrap(), "000000020000000000000003");
        assert_eq!(gone(&[(1, 2), (1, 3), (1, 4), (1, 5)], end).unwrap(), "000000020000000000000005");
    }

    #[test]
    fn as_far_as_the_archive_goes() {
        let files = archive(&[(1, 1), (1, 2), (1, 3), (2, 3), (2, 4)]);
        let found = select(&files, &[need(0x0200_0028, LogEnd::Newest)], size());
        assert_eq!((found.objects.len(), found.missing.len()), (4, 0));
        let found = select(&archive(&[(1, 2), (1, 4)]), &[need(0x0200_0028, LogEnd::Newest)], size());
        assert_eq!(found.missing.len(), 1);
    }

    #[test]
    fn empty_objects_are_no_log() {
        let mut files = archive(&[(1, 2)]);
        files.insert("wal_005/000000010000000000000002.lz4".to_owned(), 0);
        assert_eq!(select(&files, &[need(0x0200_0028, at(0x0200_0100, 1))], size()).missing.len(), 1);
    }
}
