//! Carrying objects over: stage after stage, several at once, in pieces.

use futures::stream::{self, StreamExt, TryStreamExt};
use storage::Store;
use tokio_util::sync::CancellationToken;

use super::plan::{Item, Stage};
use crate::error::{Error, Result};

/// An object, and between which folders it goes.
#[derive(Clone, Debug)]
pub struct Transfer {
    pub from: Store,
    pub to: Store,
    pub item: Item,
}

/// Copies all of `transfers`, a stage beginning when the one before has ended. `confirm` is asked before each stage of what
/// others go by; `advance` is told of every byte. After the first failure nothing more is begun; what was copied stays, for the
/// next run to find.
pub async fn execute(
    mut transfers: Vec<Transfer>,
    at_once: usize,
    cancel: &CancellationToken,
    confirm: impl AsyncFn() -> Result<()>,
    advance: impl Fn(u64),
) -> Result<()> {
    let order = |transfer: &Transfer| (transfer.item.stage, std::cmp::Reverse(transfer.item.bytes));
    transfers.sort_by_key(order);
    let is_same_stage = |a: &Transfer, b: &Transfer| a.item.stage == b.item.stage;
    for stage in transfers.chunk_by(is_same_stage) {
        if stage.iter().any(|transfer| transfer.item.stage > Stage::Metadata) {
            confirm().await?;
        }
        let copies = stage.iter().map(|transfer| copy_object(transfer, cancel, &advance));
        stream::iter(copies).buffer_unordered(at_once.max(1)).try_collect::<Vec<()>>().await?;
    }
    Ok(())
}

async fn copy_object(transfer: &Transfer, cancel: &CancellationToken, advance: &impl Fn(u64)) -> Result<()> {
    let Transfer { from, to, item } = transfer;
    let mut reader = from.read(&item.key).await?;
    if reader.size() != item.bytes && item.stage == Stage::Payload {
        let why = format!("it has {} bytes now and had {} when the copy was planned", reader.size(), item.bytes);
        return Err(Error::damaged(&item.key, why));
    }
    let mut upload = to.upload(&item.key, Some(reader.size())).await?;
    loop {
        let chunk = tokio::select! {
            biased;
            () = cancel.cancelled() => {
                upload.abort().await?;
                return Err(Error::Cancelled);
            }
            chunk = reader.next() => chunk,
        };
        match chunk {
            Ok(Some(chunk)) => {
                let bytes = chunk.len() as u64;
                upload.write(chunk).await?;
                advance(bytes);
            }
            Ok(None) => break,
            Err(error) => {
                // The failure of the reader is what explains the end.
                let _ = upload.abort().await;
                return Err(error.into());
            }
        }
    }
    upload.finish().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use bytes::Bytes;
    use storage::{FaultPlan, Operation};

    use super::*;

    fn transfers(from: &Store, to: &Store) -> Vec<Transfer> {
        let stages = [
            ("sentinel", Stage::Sentinel(1)),
            ("base", Stage::Sentinel(0)),
            ("metadata", Stage::Metadata),
            ("part_1", Stage::Payload),
            ("part_2", Stage::Payload),
        ];
        let transfer = |(key, stage): (&str, Stage)| Transfer {
            from: from.clone(),
            to: to.clone(),
            item: Item { key: key.to_owned(), bytes: 3, stage },
        };
        stages.into_iter().map(transfer).collect()
    }

    async fn source() -> Store {
        let from = Store::memory();
        for key in ["sentinel", "base", "metadata", "part_1", "part_2"] {
            from.put(key, Bytes::from_static(b"abc")).await.unwrap();
        }
        from
    }

    async fn fine() -> Result<()> {
        Ok(())
    }

    async fn keys(store: &Store) -> Vec<String> {
        store.list("").await.unwrap().into_iter().map(|object| object.key).collect()
    }

    #[tokio::test]
    async fn everything_arrives() {
        let (from, to) = (source().await, Store::memory());
        let bytes = Cell::new(0);
        let advance = |more| bytes.set(bytes.get() + more);
        execute(transfers(&from, &to), 8, &CancellationToken::new(), fine, advance).await.unwrap();
        assert_eq!((keys(&to).await, bytes.get()), (keys(&from).await, 15));
    }

    /// Whichever write fails: nothing of a later stage is there, and a second run completes the copy.
    #[tokio::test]
    async fn a_failure_leaves_nothing_that_speaks_for_what_is_missing() {
        let order = ["part_1", "part_2", "metadata", "base", "sentinel"];
        for (number, key) in order.iter().enumerate() {
            let (from, target) = (source().await, Store::memory());
            let to = target.clone().failing(FaultPlan::nth(1).of(Operation::Finish).on_key(key));
            execute(transfers(&from, &to), 1, &CancellationToken::new(), fine, |_| {}).await.unwrap_err();
            let mut arrived = keys(&target).await;
            arrived.sort_by_key(|key| order.iter().position(|known| known == key));
            assert_eq!(arrived, order[..number], "{key}");
            execute(transfers(&from, &target), 1, &CancellationToken::new(), fine, |_| {}).await.unwrap();
            assert_eq!(keys(&target).await.len(), 5);
        }
    }

    #[tokio::test]
    async fn without_its_lease_no_sentinel_is_stored() {
        let (from, to) = (source().await, Store::memory());
        let lost = async || Err(Error::Cancelled);
        execute(transfers(&from, &to), 8, &CancellationToken::new(), lost, |_| {}).await.unwrap_err();
        assert_eq!(keys(&to).await, ["metadata", "part_1", "part_2"]);
    }

    #[tokio::test]
    async fn a_cancelled_copy_and_a_changed_source_end_it() {
        let (from, to) = (source().await, Store::memory());
        let cancel = CancellationToken::new();
        cancel.cancel();
        assert!(matches!(execute(transfers(&from, &to), 8, &cancel, fine, |_| {}).await, Err(Error::Cancelled)));
        from.put("part_1", Bytes::from_static(b"abcd")).await.unwrap();
        let error = execute(transfers(&from, &to), 8, &CancellationToken::new(), fine, |_| {}).await.unwrap_err();
        assert!(error.to_string().contains("part_1"), "{error}");
        assert!(!keys(&to).await.contains(&"sentinel".to_owned()));
    }
}
