//! `global/pg_control`: the facts about a cluster that a backup needs before it talks to the server.
//!
//! Reads the files of little-endian servers: PostgreSQL 9.4 to 18, Greenplum 6 and 7, Cloudberry. The head of the file is
//! the same for all of them but for one field; the check point and what follows differ from version to version and from
//! flavor to flavor. The tail is therefore found by the double 1234567.0 that every version writes before it
//! (catalog/pg_control.h, `floatFormat`), and the checksum by trying the few places where it may stand.

use crate::{Lsn, SegmentSize, SystemIdentifier, TimelineId};

/// Facts of a control file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlFile {
    pub system_identifier: SystemIdentifier,
    /// As stored: 942 for PostgreSQL 9.4, 1300 for 13 to 16, 9420600 for Greenplum 6.
    pub control_version: u32,
    pub catalog_version: u32,
    pub state: ClusterState,
    /// Where the last check point record lies.
    pub checkpoint_lsn: Lsn,
    /// Where recovery from that check point begins.
    pub redo_lsn: Lsn,
    /// Timeline of the last check point.
    pub timeline: TimelineId,
    /// Bytes of a page of a relation.
    pub block_size: u32,
    /// Bytes of a page of the log.
    pub wal_block_size: u32,
    pub wal_segment_size: SegmentSize,
    /// Whether pages carry checksums.
    pub data_checksums: bool,
}

/// What the server was doing when it last wrote the file (catalog/pg_control.h, `DBState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterState {
    StartingUp,
    ShutDown,
    ShutDownInRecovery,
    ShuttingDown,
    InCrashRecovery,
    InArchiveRecovery,
    InProduction,
}

/// Bytes that are no usable control file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlFileError {
    #[error("pg_control is cut off: it has {0} bytes")]
    Truncated(usize),
    #[error(
        "pg_control has the version {0}, which is not supported: PostgreSQL 9.4 to 18, Greenplum 6 or 7 or Cloudberry on a \
         little-endian machine is expected"
    )]
    UnknownVersion(u32),
    #[error("pg_control has no recognizable layout: the double 1234567.0 is missing")]
    UnknownLayout,
    #[error("the checksum of pg_control is wrong: the file is damaged or was read while it was written")]
    WrongChecksum,
    #[error("pg_control holds {value} as its {field}, which is no legal value")]
    IllegalValue { field: &'static str, value: u64 },
}

/// Oldest and newest supported versions, in PostgreSQL's numbering.
const VERSIONS: std::ops::RangeInclusive<u32> = 942..=1899;
/// From this version on there is no pointer to the check point before the last.
const WITHOUT_PREVIOUS_CHECKPOINT: u32 = 1100;
/// Up to this version servers computed a CRC-32 of their own; from 9.5 (same version number) on CRC-32C.
const LEGACY_CHECKSUM: u32 = 942;
/// A control file's payload never exceeds one disk sector (catalog/pg_control.h, `PG_CONTROL_MAX_SAFE_SIZE`).
const PAYLOAD_LIMIT: usize = 512;
/// Distance from the double to the earliest place of the checksum.
const CHECKSUM_FROM: usize = 48;

impl ControlFile {
    /// Reads the content of `pg_control` and checks its checksum. Bytes behind the first 512 are not looked at.
    pub fn parse(bytes: &[u8]) -> Result<Self, ControlFileError> {
        let bytes = bytes.get(..PAYLOAD_LIMIT).unwrap_or(bytes);
        let reader = Fields(bytes);
        let control_version = reader.u32(8)?;
        let version = postgres_version(control_version)?;
        let tail = find_tail(bytes)?;
        check_checksum(bytes, tail + CHECKSUM_FROM, version)?;

        let checkpoint = if version < WITHOUT_PREVIOUS_CHECKPOINT { 48 } else { 40 };
        let segment_bytes = u64::from(reader.u32(tail + 20)?);
        let illegal_segment = |_| ControlFileError::IllegalValue { field: "WAL segment size", value: segment_bytes };
        Ok(Self {
            system_identifier: SystemIdentifier(reader.u64(0)?),
            control_version,
            catalog_version: reader.u32(12)?,
            state: ClusterState::from_number(reader.u32(16)?)?,
            checkpoint_lsn: Lsn(reader.u64(32)?),
            redo_lsn: Lsn(reader.u64(checkpoint)?),
            timeline: TimelineId(reader.u32(checkpoint + 8)?),
            block_size: page_size("block size", reader.u32(tail + 8)?)?,
            wal_block_size: page_size("WAL block size", reader.u32(tail + 16)?)?,
            wal_segment_size: SegmentSize::new(segment_bytes).map_err(illegal_segment)?,
            data_checksums: reader.u32(tail + 44)? != 0,
        })
    }
}

impl ClusterState {
    fn from_number(number: u32) -> Result<Self, ControlFileError> {
        Ok(match number {
            0 => Self::StartingUp,
            1 => Self::ShutDown,
            2 => Self::ShutDownInRecovery,
            3 => Self::ShuttingDown,
            4 => Self::InCrashRecovery,
            5 => Self::InArchiveRecovery,
            6 => Self::InProduction,
            _ => return Err(ControlFileError::IllegalValue { field: "cluster state", value: number.into() }),
        })
    }
}

/// The version in PostgreSQL's numbering: Greenplum and Cloudberry append four digits of their own.
fn postgres_version(control_version: u32) -> Result<u32, ControlFileError> {
    let version = if control_version >= 1_000_000 { control_version / 10_000 } else { control_version };
    VERSIONS.contains(&version).then_some(version).ok_or(ControlFileError::UnknownVersion(control_version))
}

fn page_size(field: &'static str, bytes: u32) -> Result<u32, ControlFileError> {
    let legal = bytes.is_power_of_two() && (1024..=65536).contains(&bytes);
    legal.then_some(bytes).ok_or(ControlFileError::IllegalValue { field, value: bytes.into() })
}

/// Position of the double, the last if several places look like it (it stands on a multiple of 8).
fn find_tail(bytes: &[u8]) -> Result<usize, ControlFileError> {
    let mark = 1_234_567.0_f64.to_le_bytes();
    let found = bytes.chunks_exact(8).rposition(|chunk| chunk == mark);
    match found {
        Some(index) => Ok(index * 8),
        None if bytes.len() < PAYLOAD_LIMIT => Err(ControlFileError::Truncated(bytes.len())),
        None => Err(ControlFileError::UnknownLayout),
    }
}

/// Looks for a checksum of everything before it at `first` and the places behind it: releases put between nothing and some
/// forty bytes (a nonce, flags) between the known fields and the checksum.
fn check_checksum(bytes: &[u8], first: usize, version: u32) -> Result<(), ControlFileError> {
    if bytes.len() < first + 4 {
        return Err(ControlFileError::Truncated(bytes.len()));
    }
    let legacy = version == LEGACY_CHECKSUM;
    let holds_at = |at: usize| {
        let (Some(payload), Ok(stored)) = (bytes.get(..at), Fields(bytes).u32(at)) else { return false };
        crc32c::crc32c(payload) == stored || (legacy && legacy_crc32(payload) == stored)
    };
    let found = (first..=first + 64).step_by(4).any(holds_at);
    found.then_some(()).ok_or(ControlFileError::WrongChecksum)
}

/// The CRC-32 of PostgreSQL up to 9.4: a table for reflected bits with the arithmetic for unreflected ones
/// (utils/pg_crc.h, `COMP_LEGACY_CRC32`).
fn legacy_crc32(bytes: &[u8]) -> u32 {
    let table_entry = |index: u32| (0..8).fold(index, |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()));
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| table_entry((crc >> 24) ^ u32::from(*byte)) ^ (crc << 8));
    !crc
}

/// Little-endian fields at known offsets.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn u32(&self, at: usize) -> Result<u32, ControlFileError> {
        let field = self.0.get(at..).and_then(|rest| rest.first_chunk());
        field.map(|bytes| u32::from_le_bytes(*bytes)).ok_or(ControlFileError::Truncated(self.0.len()))
    }

    fn u64(&self, at: usize) -> Result<u64, ControlFileError> {
        Ok(u64::from(self.u32(at)?) | u64::from(self.u32(at + 4)?) << 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREENPLUM_6: &[u8] = include_bytes!("../testdata/greenplum6.pg_control");
    const POSTGRES_15: &[u8] = include_bytes!("../testdata/postgres15.pg_control");

    #[test]
    fn greenplum_6() {
        let expected = ControlFile {
            system_identifier: SystemIdentifier(0x6B01_55F7_4B43_168D),
            control_version: 9_420_600,
            catalog_version: 301_908_232,
            state: ClusterState::InProduction,
            checkpoint_lsn: Lsn(0x0C00_0028),
            redo_lsn: Lsn(0x0C00_0028),
            timeline: TimelineId(1),
            block_size: 32768,
            wal_block_size: 32768,
            wal_segment_size: SegmentSize::new(64 << 20).unwrap(),
            data_checksums: true,
        };
        assert_eq!(ControlFile::parse(GREENPLUM_6), Ok(expected));
    }

    #[test]
    fn postgres_15() {
        let control = ControlFile::parse(POSTGRES_15).unwrap();
        assert_eq!(control.system_identifier, SystemIdentifier(7_710_534_799_108_857_936));
        assert_eq!((control.control_version, control.catalog_version), (1300, 202_209_061));
        assert_eq!((control.checkpoint_lsn, control.redo_lsn), (Lsn(0x0300_0060), Lsn(0x0300_0028)));
        assert_eq!((control.block_size, control.wal_block_size), (8192, 8192));
        assert_eq!(control.wal_segment_size.bytes(), 16 << 20);
        assert!(!control.data_checksums);
    }

    /// The 9.4 checksum and the layout of 18 (a flag before the nonce), made from the files at hand.
    #[test]
    fn other_checksums_and_layouts() {
        let mut nine_four = GREENPLUM_6.to_vec();
        nine_four[8..12].copy_from_slice(&942u32.to_le_bytes());
        let checksum = legacy_crc32(&nine_four[..0xF8]);
        nine_four[0xF8..0xFC].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(ControlFile::parse(&nine_four).unwrap().control_version, 942);

        let mut eighteen = POSTGRES_15.to_vec();
        eighteen[8..12].copy_from_slice(&1800u32.to_le_bytes());
        eighteen[0x100] = 1;
        let checksum = crc32c::crc32c(&eighteen[..0x124]);
        eighteen[0x124..0x128].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(ControlFile::parse(&eighteen).unwrap().control_version, 1800);
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        for position in 0..0x124 {
            let mut damaged = POSTGRES_15.to_vec();
            damaged[position] ^= 0x10;
            assert!(ControlFile::parse(&damaged).is_err(), "byte {position}");
        }
    }

    #[test]
    fn every_truncation_is_noticed() {
        for length in 0..0x124 {
            assert!(ControlFile::parse(&POSTGRES_15[..length]).is_err(), "{length} bytes");
        }
        assert!(ControlFile::parse(&POSTGRES_15[..0x124]).is_ok());
        assert_eq!(ControlFile::parse(&[0; 8192]), Err(ControlFileError::UnknownVersion(0)));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, at in 0usize..512, patch: Vec<u8>) {
            let _ = ControlFile::parse(&bytes);
            let mut damaged = GREENPLUM_6.to_vec();
            let end = (at + patch.len()).min(damaged.len());
            damaged[at..end].copy_from_slice(&patch[..end - at]);
            let _ = ControlFile::parse(&damaged);
        }
    }
}
