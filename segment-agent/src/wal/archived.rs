//! Is the log between two positions in the archive?

use formats::layout;
use futures::stream::{self, StreamExt, TryStreamExt};
use pgdata::{Lsn, SegmentSize, TimelineId, WalName};

use super::fetch::read_order;
use crate::error::Result;
use crate::repository::Repository;

/// Requests under way at once.
const CONCURRENCY: usize = 16;

/// The log that a backup needs: from the segment that holds `from` to the one that holds the last byte before `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub timeline: TimelineId,
    pub from: Lsn,
    pub to: Lsn,
    pub size: SegmentSize,
}

impl Range {
    /// Names of the files, oldest first.
    pub fn file_names(&self) -> Vec<String> {
        let last = self.size.segment_of(Lsn(self.to.0.saturating_sub(1)));
        let first = self.size.segment_of(self.from).min(last);
        (first..=last).map(|segment| WalName { timeline: self.timeline, segment }.file_name(self.size)).collect()
    }
}

/// Those of `names` that are not in the archive, in the same order.
pub async fn missing(repository: &Repository, names: &[String]) -> Result<Vec<String>> {
    let checks = stream::iter(names.to_vec())
        .map(|name| async move { Ok(if is_archived(repository, &name).await? { None } else { Some(name) }) });
    checks.buffered(CONCURRENCY).try_filter_map(|name| async move { Ok(name) }).try_collect().await
}

async fn is_archived(repository: &Repository, name: &str) -> Result<bool> {
    for codec in read_order(repository) {
        let object = repository.store().head(&layout::wal_key(name, codec.extension())).await?;
        // An empty object is what an archive without atomic writes leaves behind.
        if object.is_some_and(|object| object.size > 0) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use codec::{Cipher, Compression};
    use storage::Store;

    use super::*;

    fn range(from: u64, to: u64) -> Range {
        Range { timeline: TimelineId(1), from: Lsn(from), to: Lsn(to), size: SegmentSize::new(16 << 20).unwrap() }
    }

    #[test]
    fn a_position_on_the_boundary_belongs_to_the_file_before() {
        assert_eq!(range(0x0200_0028, 0x0300_0000).file_names(), ["000000010000000000000002"]);
        assert_eq!(range(0x0200_0028, 0x0300_0001).file_names().len(), 2);
    }

    #[tokio::test]
    async fn files_of_any_codec_count_and_empty_ones_do_not() {
        let store = Store::memory();
        store.put("wal_005/000000010000000000000002.zst", bytes::Bytes::from_static(b"x")).await.unwrap();
        store.put("wal_005/000000010000000000000003.lz4", bytes::Bytes::new()).await.unwrap();
        let repository = Repository::over(store, Compression::Lz4, Cipher::None);
        let names = range(0x0200_0000, 0x0400_0001).file_names();
        let expected = ["000000010000000000000003", "000000010000000000000004"];
        assert_eq!(missing(&repository, &names).await.unwrap(), expected);
    }
}
