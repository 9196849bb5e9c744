//! What the archive holds, from one listing; and the few files of it that are read whole.

use std::collections::BTreeSet;
use std::io::Read;

use codec::{Codec, Decoder};
use formats::layout;
use pgdata::{SegmentSize, TimelineHistory, TimelineId, WalFileName, WalName, WalSegmentHeader};
use settings::Settings;
use tokio_util::sync::CancellationToken;

use super::fetch::read_order;
use crate::bridge::{Driver, ObjectSource, on_worker, read_full};
use crate::error::{Error, Result, from_io};
use crate::repository::Repository;

/// A history file has a line per timeline.
const HISTORY_BYTES_MAX: u64 = 1 << 20;

/// Enough for the header of a log file.
const HEAD_BYTES: usize = 4096;

/// The names in an archive that count: whole log files, and the timelines of history files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    pub segments: BTreeSet<WalName>,
    pub histories: BTreeSet<TimelineId>,
}

impl Contents {
    /// `names`: of the objects, with the extensions of their codecs.
    pub fn of_names<'a>(names: impl IntoIterator<Item = &'a str>, size: SegmentSize) -> Result<Self> {
        let mut contents = Self::default();
        for name in names {
            match WalFileName::classify(Codec::from_file_name(name).0) {
                WalFileName::Segment { name } => {
                    let segment = WalName::parse(&name, size).map_err(|error| {
                        Error::refused(error.to_string(), "set WALG_PG_WAL_SIZE to the server's size in MiB")
                    })?;
                    contents.segments.insert(segment);
                }
                WalFileName::TimelineHistory { timeline } => {
                    contents.histories.insert(timeline);
                }
                _ => {}
            }
        }
        Ok(contents)
    }

    /// The highest timeline of any file; 0 if there is none.
    pub fn highest_timeline(&self) -> TimelineId {
        let of_segments = self.segments.last().map(|name| name.timeline);
        let highest = of_segments.into_iter().chain(self.histories.last().copied()).max();
        highest.unwrap_or(TimelineId(0))
    }
}

/// Names of the objects in the archive. Empty ones are left out: that is what a storage without atomic writes keeps of a
/// file that was not stored.
pub async fn object_names(repository: &Repository) -> Result<Vec<String>> {
    let objects = repository.store().list_folder(layout::WAL).await?.objects;
    let name = |key: &str| key.rsplit('/').next().unwrap_or(key).to_owned();
    Ok(objects.iter().filter(|object| object.size > 0).map(|object| name(&object.key)).collect())
}

/// The size of log files: as set, or as the first archived file says, or the default for this kind of server.
pub async fn segment_size(settings: &Settings, repository: &Repository, names: &[String]) -> Result<SegmentSize> {
    if !settings.explicit("WALG_PG_WAL_SIZE")
        && let Some(size) = archived_size(repository, names).await?
    {
        return Ok(size);
    }
    let mib = settings.int("WALG_PG_WAL_SIZE")?.and_then(|mib| u64::try_from(mib).ok()).unwrap_or(16);
    SegmentSize::new(mib.saturating_mul(1 << 20)).map_err(|error| {
        Error::refused(format!("WALG_PG_WAL_SIZE is {mib}: {error}"), "set it to the server's size in MiB")
    })
}

async fn archived_size(repository: &Repository, names: &[String]) -> Result<Option<SegmentSize>> {
    let is_segment =
        |name: &&String| matches!(WalFileName::classify(Codec::from_file_name(name).0), WalFileName::Segment { .. });
    let Some(name) = names.iter().find(is_segment).cloned() else { return Ok(None) };
    let repository = repository.clone();
    on_worker(move || {
        let head = read_head(&repository, &format!("{}/{name}", layout::WAL), HEAD_BYTES)?;
        Ok(WalSegmentHeader::parse(&head).map(|header| header.segment_size))
    })
    .await
}

/// What `<timeline>.history` says, if it is archived.
pub async fn history(repository: &Repository, timeline: TimelineId) -> Result<Option<TimelineHistory>> {
    let name = timeline.history_file_name();
    for codec in read_order(repository) {
        let key = layout::wal_key(&name, codec.extension());
        let (repository, key_to_read) = (repository.clone(), key.clone());
        let limit = usize::try_from(HISTORY_BYTES_MAX).unwrap_or(usize::MAX);
        match on_worker(move || read_head(&repository, &key_to_read, limit)).await {
            Err(Error::Storage(error)) if error.kind() == storage::ErrorKind::NotFound => continue,
            content => {
                let text = String::from_utf8(content?).map_err(|error| Error::damaged(&key, error))?;
                return TimelineHistory::parse(&text).map(Some).map_err(|error| Error::damaged(&key, error));
            }
        }
    }
    Ok(None)
}

/// The first `limit` bytes of what the object holds, decoded.
fn read_head(repository: &Repository, key: &str, limit: usize) -> Result<Vec<u8>> {
    let broken = |error: std::io::Error| from_io(error, |error| Error::damaged(key, error));
    let driver = Driver::current(repository.store());
    let source = ObjectSource::open(&driver, &CancellationToken::new(), repository.store(), key)?;
    let codec = Codec::from_file_name(key).1;
    let decoder = Decoder::new(codec, &repository.cipher, source).map_err(|error| broken(error.into()))?;
    let mut head = Vec::new();
    let mut buffer = [0; HEAD_BYTES];
    let mut rest = decoder.take(limit as u64);
    loop {
        let count = read_full(&mut rest, &mut buffer).map_err(broken)?;
        if count == 0 {
            return Ok(head);
        }
        head.extend_from_slice(&buffer[..count]);
    }
}
