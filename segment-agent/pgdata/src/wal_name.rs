//! Names of the files in the log directory: WAL segments, partial segments, backup history files, timeline histories.

use crate::{Lsn, SegmentSize, TimelineId};

/// Names one WAL segment: which timeline, and which segment counted from the beginning of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WalName {
    pub timeline: TimelineId,
    /// Number of the segment: its first LSN divided by the segment size.
    pub segment: u64,
}

/// Text that names no WAL segment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WalNameError {
    #[error("{0:?} is no WAL segment name: 24 upper-case hexadecimal digits are expected")]
    NotDigits(String),
    #[error(
        "WAL segment name {name} does not fit segments of {segment_size_bytes} bytes: its last 8 digits must be below \
         {limit:08X}; check the WAL segment size in the settings"
    )]
    SegmentOutOfRange { name: String, segment_size_bytes: u64, limit: u64 },
}

impl WalName {
    /// Reads the 24 digits of `name` (access/xlog_internal.h, `XLogFromFileName`).
    pub fn parse(name: &str, size: SegmentSize) -> Result<Self, WalNameError> {
        let not_digits = || WalNameError::NotDigits(name.to_owned());
        if !is_upper_hex(name, 24) {
            return Err(not_digits());
        }
        let digits = |at: usize| name.get(at..at + 8).and_then(|text| u32::from_str_radix(text, 16).ok());
        let (Some(timeline), Some(log), Some(low)) = (digits(0), digits(8), digits(16)) else {
            return Err(not_digits());
        };
        let limit = size.segments_per_log();
        if u64::from(low) >= limit {
            let name = name.to_owned();
            return Err(WalNameError::SegmentOutOfRange { name, segment_size_bytes: size.bytes(), limit });
        }
        Ok(Self { timeline: TimelineId(timeline), segment: u64::from(log) * limit + u64::from(low) })
    }

    /// The 24 upper-case digits of PostgreSQL's file name.
    pub fn file_name(self, size: SegmentSize) -> String {
        let per_log = size.segments_per_log();
        format!("{:08X}{:08X}{:08X}", self.timeline.0, self.segment / per_log, self.segment % per_log)
    }

    /// First position in the segment.
    pub fn start_lsn(self, size: SegmentSize) -> Lsn {
        size.start_of(self.segment)
    }
}

/// What a file in the log directory or under `wal_005` is, told by its name alone (extension of a codec cut off).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WalFileName {
    /// A whole segment; `name` is its 24 digits.
    Segment { name: String },
    /// `<24 digits>.partial`, the unfinished last segment of a timeline; `segment` is the 24 digits.
    Partial { segment: String },
    /// `<24 digits>.<8 digits>.backup`, written when a backup ends; `segment` is the 24 digits.
    BackupHistory { segment: String, offset: u32 },
    /// `<8 digits>.history`.
    TimelineHistory { timeline: TimelineId },
    /// Anything else.
    Other,
}

impl WalFileName {
    /// Sorts `name` as PostgreSQL does (access/xlog_internal.h, `IsXLogFileName` and its neighbours).
    pub fn classify(name: &str) -> Self {
        if is_upper_hex(name, 24) {
            return Self::Segment { name: name.to_owned() };
        }
        Self::of_two_parts(name).unwrap_or(Self::Other)
    }

    fn of_two_parts(name: &str) -> Option<Self> {
        let (stem, rest) = name.split_once('.')?;
        if rest == "history" && is_upper_hex(stem, 8) {
            return Some(Self::TimelineHistory { timeline: TimelineId(u32::from_str_radix(stem, 16).ok()?) });
        }
        if !is_upper_hex(stem, 24) {
            return None;
        }
        let segment = stem.to_owned();
        if rest == "partial" {
            return Some(Self::Partial { segment });
        }
        let offset = rest.strip_suffix(".backup").filter(|digits| is_upper_hex(digits, 8))?;
        Some(Self::BackupHistory { segment, offset: u32::from_str_radix(offset, 16).ok()? })
    }

    /// Whether it is a timeline history file.
    pub fn is_history(&self) -> bool {
        matches!(self, Self::TimelineHistory { .. })
    }
}

fn is_upper_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mib(count: u64) -> SegmentSize {
        SegmentSize::new(count << 20).unwrap()
    }

    #[test]
    fn names_of_both_usual_sizes() {
        let name = WalName::parse("00000002000000010000003F", mib(64)).unwrap();
        assert_eq!(name, WalName { timeline: TimelineId(2), segment: 64 + 63 });
        assert_eq!(name.start_lsn(mib(64)), Lsn(0x1_FC00_0000));
        assert_eq!(name.file_name(mib(64)), "00000002000000010000003F");
        assert_eq!(mib(16).name_of(TimelineId(1), Lsn(0x0300_0028)).file_name(mib(16)), "000000010000000000000003");
    }

    #[test]
    fn a_name_of_another_segment_size_is_refused() {
        let error = WalName::parse("000000010000000000000040", mib(64)).unwrap_err();
        assert!(matches!(error, WalNameError::SegmentOutOfRange { limit: 64, .. }), "{error}");
        for wrong in ["", "00000001000000000000000", "00000001000000000000000a", "0000000100000000000000é", "x"] {
            assert!(matches!(WalName::parse(wrong, mib(64)), Err(WalNameError::NotDigits(_))), "{wrong:?}");
        }
    }

    #[test]
    fn kinds_of_files() {
        let segment = "000000010000000000000003".to_owned();
        assert_eq!(WalFileName::classify(&segment), WalFileName::Segment { name: segment.clone() });
        assert_eq!(
            WalFileName::classify("000000010000000000000003.partial"),
            WalFileName::Partial { segment: segment.clone() }
        );
        assert_eq!(
            WalFileName::classify("000000010000000000000003.00000028.backup"),
            WalFileName::BackupHistory { segment, offset: 0x28 }
        );
        let history = WalFileName::classify("0000000A.history");
        assert_eq!(history, WalFileName::TimelineHistory { timeline: TimelineId(10) });
        assert!(history.is_history());
        for other in ["", ".", "000000010000000000000003.lz4", "1.history", "000000010000000000000003.28.backup"] {
            assert_eq!(WalFileName::classify(other), WalFileName::Other, "{other:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_name_comes_back(timeline: u32, log: u32, low: u32, bits in 20u32..=30) {
            let size = SegmentSize::new(1 << bits).unwrap();
            let segment = u64::from(log) * size.segments_per_log() + u64::from(low) % size.segments_per_log();
            let name = WalName { timeline: TimelineId(timeline), segment };
            proptest::prop_assert_eq!(WalName::parse(&name.file_name(size), size), Ok(name));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = WalFileName::classify(&text);
            let _ = WalName::parse(&text, mib(64));
        }
    }
}
