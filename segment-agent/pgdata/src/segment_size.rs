//! The size of a WAL segment file and the arithmetic that follows from it.

use crate::{Lsn, TimelineId, WalName};

/// Bytes of one WAL segment file: a power of two from 1 MiB to 1 GiB (access/xlog_internal.h, `IsValidWalSegSize`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentSize(u64);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes is no WAL segment size: a power of two from 1 MiB to 1 GiB is expected")]
pub struct SegmentSizeError(pub u64);

impl SegmentSize {
    /// Checks `bytes`.
    pub fn new(bytes: u64) -> Result<Self, SegmentSizeError> {
        let valid = bytes.is_power_of_two() && (1 << 20..=1 << 30).contains(&bytes);
        valid.then_some(Self(bytes)).ok_or(SegmentSizeError(bytes))
    }

    pub fn bytes(self) -> u64 {
        self.0
    }

    /// Number of the segment that holds the byte at `lsn`.
    pub fn segment_of(self, lsn: Lsn) -> u64 {
        lsn.0 / self.0
    }

    /// First position of segment `number`.
    pub fn start_of(self, number: u64) -> Lsn {
        Lsn(number.saturating_mul(self.0))
    }

    /// Segments that share the middle eight digits of a WAL file name.
    pub fn segments_per_log(self) -> u64 {
        (1 << 32) / self.0
    }

    /// Name of the file that holds the byte at `lsn`.
    pub fn name_of(self, timeline: TimelineId, lsn: Lsn) -> WalName {
        WalName { timeline, segment: self.segment_of(lsn) }
    }
}
