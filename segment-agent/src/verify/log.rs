//! The log that a backup needs: from its start to its restore point, file by file, across switches of the timeline.

use std::collections::BTreeMap;

use codec::Decoder;
use formats::BackupName;
use formats::layout;
use formats::wire::LogEnd;
use pgdata::{ControlFile, Lsn, SegmentSize, SystemIdentifier, TimelineHistory, TimelineId, WalName, WalSegmentHeader};

use super::Verification;
use super::facts::Facts;
use crate::bridge::read_full;
use crate::error::{Error, Result};
use crate::wal;

/// Largest history file that is believed.
const HISTORY_BYTES: u64 = 1 << 20;

/// One file of the log, and what it must be.
#[derive(Clone, Debug)]
pub struct Segment {
    pub name: WalName,
    pub size: SegmentSize,
    pub system_identifier: SystemIdentifier,
    /// Backups that need it.
    pub needed_by: Vec<BackupName>,
}

/// The files of all backups that are verified, by name.
pub type Segments = BTreeMap<String, Segment>;

/// Adds the log of `facts` up to `until`, or up to where the backup ends. Needs the control file.
pub fn add(run: &Verification, facts: &Facts, until: Option<LogEnd>, segments: &mut Segments) -> Result<()> {
    let (Some(control), Some(start)) = (facts.control.get(), facts.sentinel.start_lsn) else { return Ok(()) };
    let size = control.wal_segment_size;
    let Some(began) = facts.name.wal_file_name().and_then(|name| WalName::parse(name, size).ok()) else {
        run.findings.add(&layout::sentinel_key(&facts.name), "the name of the backup tells no timeline");
        return Ok(());
    };
    let finish = facts.sentinel.finish_lsn.unwrap_or(start);
    let until = until.unwrap_or(LogEnd { timeline: began.timeline, lsn: finish });
    let history = match until.timeline == began.timeline {
        true => TimelineHistory::default(),
        false => read_history(run, until.timeline)?,
    };
    for name in names(&history, until.timeline, size, start, until.lsn.max(finish)) {
        segments
            .entry(name.file_name(size))
            .or_insert_with(|| segment(name, control))
            .needed_by
            .push(facts.name.clone());
    }
    Ok(())
}

fn segment(name: WalName, control: &ControlFile) -> Segment {
    Segment {
        name,
        size: control.wal_segment_size,
        system_identifier: control.system_identifier,
        needed_by: Vec::new(),
    }
}

/// Recovery takes each file from the newest timeline that has begun by then: the file of a switch exists on both timelines.
fn names(history: &TimelineHistory, last: TimelineId, size: SegmentSize, from: Lsn, to: Lsn) -> Vec<WalName> {
    let end = size.segment_of(Lsn(to.0.saturating_sub(1)));
    let begin = size.segment_of(from).min(end);
    let timeline_at = |segment: u64| {
        let later = history.switches.iter().find(|switch| segment < size.segment_of(switch.switch_lsn));
        later.map_or(last, |switch| switch.timeline)
    };
    (begin..=end).map(|segment| WalName { timeline: timeline_at(segment), segment }).collect()
}

fn read_history(run: &Verification, timeline: TimelineId) -> Result<TimelineHistory> {
    let name = timeline.history_file_name();
    let Some((key, codec, source)) = wal::open(&run.repository, &run.driver, &run.cancel, &name)? else {
        let key = layout::wal_key(&name, "");
        run.findings.add(&key, "it is missing, and recovery across the switch of the timeline needs it");
        return Ok(TimelineHistory::default());
    };
    let read = || {
        let source = run.metered(&key, source);
        let decoder = Decoder::new(codec, &run.repository.cipher, source);
        let mut text = String::new();
        let decoder = decoder.map_err(|error| run.findings.decoding(&key, error))?;
        let read = std::io::Read::read_to_string(&mut std::io::Read::take(decoder, HISTORY_BYTES), &mut text);
        read.map_err(|error| run.findings.decoding(&key, error))?;
        TimelineHistory::parse(&text).map_err(|error| Error::damaged(&key, error))
    };
    let history = run.findings.sift(&key, read())?;
    Ok(history.unwrap_or_default())
}

/// Reads a file of the log to its end.
pub fn check(run: &Verification, name: &str, segment: &Segment, buffer: &mut [u8]) -> Result<()> {
    let Some((key, codec, source)) = wal::open(&run.repository, &run.driver, &run.cancel, name)? else {
        run.findings.add(&layout::wal_key(name, ""), "it is missing");
        return Ok(());
    };
    let read = || -> Result<()> {
        let source = run.metered(&key, source);
        let decoder = Decoder::new(codec, &run.repository.cipher, source);
        let mut decoder = decoder.map_err(|error| run.findings.decoding(&key, error))?;
        let mut bytes = 0;
        loop {
            let count = read_full(&mut decoder, buffer).map_err(|error| run.findings.decoding(&key, error))?;
            if bytes == 0 {
                judge_header(WalSegmentHeader::parse(&buffer[..count]), segment)
                    .map_err(|why| Error::damaged(&key, why))?;
            }
            bytes += count as u64;
            if count < buffer.len() {
                break;
            }
        }
        run.findings.note_decoded();
        if bytes != segment.size.bytes() {
            return Err(Error::damaged(&key, format!("it has {bytes} bytes instead of {}", segment.size.bytes())));
        }
        Ok(())
    };
    run.findings.sift(&key, read()).map(drop)
}

fn judge_header(header: Option<WalSegmentHeader>, expected: &Segment) -> std::result::Result<(), String> {
    let Some(header) = header else { return Err("it does not begin as a file of the log does".to_owned()) };
    if header.segment_size != expected.size {
        return Err(format!("it says that log files have {} bytes", header.segment_size.bytes()));
    }
    if header.system_identifier != expected.system_identifier {
        return Err(format!("it belongs to another cluster, {}", header.system_identifier));
    }
    let start = expected.name.start_lsn(expected.size);
    if header.address != start {
        return Err(format!("it begins at {} instead of {start}", header.address));
    }
    // The file of a switch begins with pages of the timeline before.
    if header.timeline.0 == 0 || header.timeline > expected.name.timeline {
        return Err(format!("it is of timeline {}", header.timeline));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_comes_from_the_newest_timeline_that_has_begun() {
        let size = SegmentSize::new(16 << 20).unwrap();
        let history = TimelineHistory::parse("1\t0/3000158\tx\n2\t0/5000000\tx\n").unwrap();
        let of = |from, to, last, history: &TimelineHistory| {
            names(history, TimelineId(last), size, Lsn(from), Lsn(to))
                .iter()
                .map(|name| (name.timeline.0, name.segment))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(0x0100_0028, 0x0600_0001, 3, &history), [(1, 1), (1, 2), (2, 3), (2, 4), (3, 5), (3, 6)]);
        assert_eq!(of(0x0200_0028, 0x0300_0000, 1, &TimelineHistory::default()), [(1, 2)]);
    }
}
