//! Which log files go: pure. Positions are compared as WAL-G does: timeline first, then the number of the file.

use std::collections::BTreeSet;

use formats::{BackupName, layout};
use pgdata::Lsn;
use storage::ObjectInfo;

/// The place of a log file, from the 24 digits of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WalPosition {
    pub timeline: u32,
    log: u32,
    file: u32,
}

impl WalPosition {
    /// Of a name that begins with 24 upper-case hexadecimal digits.
    pub fn of_name(name: &str) -> Option<Self> {
        let digits = name.get(..24)?;
        if !digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F')) {
            return None;
        }
        let number = |range| u32::from_str_radix(digits.get(range)?, 16).ok();
        Some(Self { timeline: number(0..8)?, log: number(8..16)?, file: number(16..24)? })
    }

    /// Where a segment's backup begins.
    pub fn of_backup(name: &BackupName) -> Option<Self> {
        Self::of_name(name.wal_file_name()?)
    }

    pub fn file_name(self) -> String {
        format!("{:08X}{:08X}{:08X}", self.timeline, self.log, self.file)
    }

    /// The last of the 16 files of which an object such as `<23 digits>.json` or `<24 digits>_delta` tells.
    fn last_of_sixteen(self) -> Self {
        Self { file: self.file | 0xF, ..self }
    }
}

/// A part of the log that a kept backup needs, on its timeline and all later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub from: WalPosition,
    /// (log, file) of the last file; `None` if it is not known where the need ends.
    end: Option<(u32, u32)>,
}

impl Stretch {
    fn covers(&self, position: WalPosition) -> bool {
        let place = (position.log, position.file);
        position.timeline >= self.from.timeline
            && place >= (self.from.log, self.from.file)
            && self.end.is_none_or(|end| place <= end)
    }
}

/// The sizes that the log files of a repository may have. No document says it; a backup's name and its start do together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes(BTreeSet<u32>);

impl Default for Sizes {
    /// 1 MiB to 1 GiB.
    fn default() -> Self {
        Self((20..=30).map(|power| 1 << power).collect())
    }
}

impl Sizes {
    /// Leaves out the sizes that a backup of this name could not have begun at `start` with.
    pub fn narrow(&mut self, name: &BackupName, start: Lsn) {
        let Some(position) = WalPosition::of_backup(name) else { return };
        let fits = |size: &u32| {
            [start.0, start.0.saturating_sub(1)].iter().any(|lsn| place(*lsn, *size) == (position.log, position.file))
        };
        let fitting: BTreeSet<u32> = self.0.iter().copied().filter(fits).collect();
        if !fitting.is_empty() {
            self.0 = fitting;
        }
    }

    /// The last file that a need up to `end` can reach.
    fn last_file(&self, end: Lsn) -> (u32, u32) {
        let files = self.0.iter().map(|size| place(end.0.saturating_sub(1), *size));
        files.max().unwrap_or((u32::MAX, u32::MAX))
    }

    /// The log that a backup of this name needs. `start`: of its metadata. `ends`: all ends that are known.
    pub fn stretch(&self, name: &BackupName, start: Option<Lsn>, ends: &[Lsn]) -> Option<Stretch> {
        let mut from = WalPosition::of_backup(name)?;
        for size in &self.0 {
            let Some(start) = start else { break };
            let (log, file) = place(start.0.saturating_sub(1), *size);
            from = from.min(WalPosition { log, file, ..from });
        }
        Some(Stretch { from, end: ends.iter().max().map(|end| self.last_file(*end)) })
    }
}

fn place(lsn: u64, size: u32) -> (u32, u32) {
    // The cast keeps the lower half.
    ((lsn >> 32) as u32, lsn as u32 / size)
}

/// Whether the log object with this key goes: it lies before `bound`, and no stretch needs it. Histories of timelines stay.
pub fn goes(key: &str, bound: WalPosition, stretches: &[Stretch]) -> bool {
    let name = key.rsplit('/').next().unwrap_or(key);
    let Some((first, last)) = files_of(name) else { return false };
    let mut probe = first;
    if last >= bound {
        return false;
    }
    loop {
        if stretches.iter().any(|stretch| stretch.covers(probe)) {
            return false;
        }
        if probe == last {
            return true;
        }
        probe.file += 1;
    }
}

/// The files that an object of the log folder tells of: most tell of one.
fn files_of(name: &str) -> Option<(WalPosition, WalPosition)> {
    if let Some(first) = WalPosition::of_name(name) {
        let rest = name.get(24..)?;
        let group = rest.strip_prefix("_delta").is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        return Some((first, if group { first.last_of_sixteen() } else { first }));
    }
    // What WAL-G notes of sixteen files at once.
    let digits = name.strip_suffix(".json").filter(|digits| digits.len() == 23)?;
    let first = WalPosition::of_name(&format!("{digits}0"))?;
    Some((first, first.last_of_sixteen()))
}

/// The objects of the log that go.
pub fn outdated<'a>(
    log: &'a [ObjectInfo],
    bound: WalPosition,
    stretches: &'a [Stretch],
) -> impl Iterator<Item = &'a ObjectInfo> {
    log.iter().filter(move |object| goes(&object.key, bound, stretches))
}

/// Keys before this one may go; none at or after it does.
pub fn end_of_listing(bound: WalPosition) -> String {
    layout::wal_key(&bound.file_name(), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(name: &str) -> WalPosition {
        WalPosition::of_name(name).unwrap()
    }

    fn backup(wal: &str) -> BackupName {
        BackupName::new(format!("base_{wal}")).unwrap()
    }

    #[test]
    fn what_goes_before_a_position() {
        let bound = position("000000020000000000000010");
        let table = [
            ("wal_005/00000002000000000000000F.zst", true),
            ("wal_005/000000020000000000000010.zst", false),
            ("wal_005/000000010000000000000099.lz4", true),
            ("wal_005/00000002000000000000000F.00000028.backup.zst", true),
            ("wal_005/00000002000000000000000F.partial", true),
            ("wal_005/00000002.history.zst", false),
            ("wal_005/00000001.history", false),
            ("wal_005/00000002000000000000000.json", true),
            ("wal_005/00000002000000000000001.json", false),
            ("wal_005/000000020000000000000000_delta.lz4", true),
            ("wal_005/000000020000000000000008_delta.lz4", true),
            ("wal_005/000000020000000000000010_delta.lz4", false),
            ("wal_005/foreign", false),
            ("wal_005/00000002000000000000000f.zst", false),
        ];
        for (key, expected) in table {
            assert_eq!(goes(key, bound, &[]), expected, "{key}");
        }
        assert_eq!(end_of_listing(bound), "wal_005/000000020000000000000010");
    }

    #[test]
    fn a_group_that_reaches_beyond_the_bound_stays() {
        let bound = position("000000010000000000000014");
        assert!(!goes("wal_005/000000010000000000000010_delta.lz4", bound, &[]));
        assert!(!goes("wal_005/00000001000000000000001.json", bound, &[]));
        assert!(goes("wal_005/000000010000000000000013.lz4", bound, &[]));
    }

    #[test]
    fn the_log_of_a_kept_backup_stays_on_all_later_timelines() {
        let name = backup("000000010000000000000003");
        let mut sizes = Sizes::default();
        sizes.narrow(&name, Lsn(0x0C00_0028));
        assert_eq!(sizes, Sizes(BTreeSet::from([64 << 20])));
        let stretch = sizes.stretch(&name, Some(Lsn(0x0C00_0028)), &[Lsn(0x0C00_0100), Lsn(0x1000_0001)]).unwrap();
        let bound = position("000000030000000000000010");
        let goes = |wal: &str| goes(&format!("wal_005/{wal}.zst"), bound, &[stretch]);
        assert!(goes("000000010000000000000002") && goes("000000010000000000000005"));
        assert!(!goes("000000010000000000000003") && !goes("000000010000000000000004"));
        assert!(!goes("000000020000000000000004") && goes("000000020000000000000005"));
        assert!(!goes("00000001000000000000000") && goes("000000010000000000000002.00000028.backup"));
    }

    #[test]
    fn an_open_end_and_an_open_size_keep_more() {
        let name = backup("000000010000000100000000");
        let mut sizes = Sizes::default();
        sizes.narrow(&name, Lsn(0x1_0000_0028));
        assert_eq!(sizes, Sizes::default(), "the first file of a log has the same name for all sizes");
        let stretch = sizes.stretch(&name, Some(Lsn(0x1_0000_0028)), &[Lsn(0x1_0200_0028)]).unwrap();
        assert!(
            stretch.covers(position("000000010000000100000020"))
                && !stretch.covers(position("000000010000000100000021"))
        );
        let open = sizes.stretch(&name, None, &[]).unwrap();
        assert!(
            open.covers(position("0000000100000FFF00000021")) && !open.covers(position("000000010000000000000021"))
        );
        sizes.narrow(&name, Lsn(0x5_0000_0028));
        assert_eq!(sizes, Sizes::default(), "metadata that contradict a name say nothing");
    }
}
