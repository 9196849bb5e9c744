//! The header of the first page of a WAL segment (access/xlog_internal.h, `XLogLongPageHeaderData`).

use crate::{Lsn, SegmentSize, SystemIdentifier, TimelineId};

/// Bytes of a long page header.
const LONG_HEADER_BYTES: usize = 40;

/// `XLP_LONG_HEADER` among the header's flags.
const LONG_HEADER_FLAG: u16 = 0x0002;

/// Every version of PostgreSQL and Greenplum so far: 0xD061 (8.3) up to 0xD1xx.
const MAGIC_HIGH_BYTES: std::ops::RangeInclusive<u16> = 0xD0..=0xD1;

/// What a WAL segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalSegmentHeader {
    /// Timeline of the first page; in the file of a switch that is the one before.
    pub timeline: TimelineId,
    /// Where the file begins in the log.
    pub address: Lsn,
    pub system_identifier: SystemIdentifier,
    pub segment_size: SegmentSize,
}

impl WalSegmentHeader {
    /// Reads the first bytes of a segment file; nothing if they are no long page header.
    pub fn parse(start: &[u8]) -> Option<Self> {
        let header: &[u8; LONG_HEADER_BYTES] = start.first_chunk()?;
        let (magic, flags) = (number(&header[..2]), number(&header[2..4]));
        let is_long = MAGIC_HIGH_BYTES.contains(&((magic >> 8) as u16)) && flags as u16 & LONG_HEADER_FLAG != 0;
        let segment_size = SegmentSize::new(number(&header[32..36])).ok()?;
        is_long.then_some(Self {
            timeline: TimelineId(number(&header[4..8]) as u32),
            address: Lsn(number(&header[8..16])),
            system_identifier: SystemIdentifier(number(&header[24..32])),
            segment_size,
        })
    }
}

/// Little endian, as on every platform that is supported.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Vec<u8> {
        let mut bytes = vec![0x10, 0xD1, 0x02, 0x00];
        bytes.extend(3_u32.to_le_bytes());
        bytes.extend(0x1_0200_0000_u64.to_le_bytes());
        bytes.resize(24, 0);
        bytes.extend(7_710_534_079_969_413_511_u64.to_le_bytes());
        bytes.extend((16_u32 << 20).to_le_bytes());
        bytes.extend(8192_u32.to_le_bytes());
        bytes
    }

    #[test]
    fn a_segment_tells_its_size_and_its_cluster() {
        let parsed = WalSegmentHeader::parse(&header()).unwrap();
        assert_eq!((parsed.timeline, parsed.address), (TimelineId(3), Lsn(0x1_0200_0000)));
        assert_eq!(parsed.segment_size.bytes(), 16 << 20);
        assert_eq!(parsed.system_identifier.0, 7_710_534_079_969_413_511);
    }

    #[test]
    fn anything_else_is_no_header() {
        for (at, value) in [(1, 0), (2, 0), (32, 1)] {
            let mut bytes = header();
            bytes[at] = value;
            assert_eq!(WalSegmentHeader::parse(&bytes), None, "byte {at}");
        }
        (0..40).for_each(|length| assert_eq!(WalSegmentHeader::parse(&header()[..length]), None));
    }
}
