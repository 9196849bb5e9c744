//! What of a plan is at the target already.
//!
//! Objects are never changed, so one of the same name and size is taken for the same, except documents, which are small and
//! are compared. Two documents that differ in nothing but the mark of a permanent backup are the same: the target keeps its own.

use storage::Store;

use super::gather::Objects;
use super::plan::{Item, Stage};
use crate::error::Result;
use crate::mark;

/// Documents up to this size are compared.
const DOCUMENT_BYTES_MAX: u64 = 16 << 20;

/// A plan beside what the target holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// To be copied.
    pub new: Vec<Item>,
    /// There already.
    pub present: Vec<Item>,
    /// Another object has the name: why.
    pub conflicts: Vec<String>,
}

/// `held`: what the target has.
pub async fn compare(items: Vec<Item>, from: &Store, to: &Store, held: &Objects) -> Result<Comparison> {
    let mut comparison = Comparison::default();
    for item in items {
        let Some(bytes) = held.get(&item.key).copied() else {
            comparison.new.push(item);
            continue;
        };
        let is_document = item.stage > Stage::Payload && item.bytes.max(bytes) <= DOCUMENT_BYTES_MAX;
        let is_same = match is_document {
            true => is_same_document(&item.key, from, to).await?,
            false => item.bytes == bytes,
        };
        if is_same {
            comparison.present.push(item);
        } else {
            let sizes = format!("{bytes} bytes there, {} bytes in the source", item.bytes);
            comparison.conflicts.push(format!("{} holds another {}: {sizes}", to.describe(), item.key));
        }
    }
    Ok(comparison)
}

async fn is_same_document(key: &str, from: &Store, to: &Store) -> Result<bool> {
    let (ours, theirs) = (from.get(key).await?, to.get(key).await?);
    if ours == theirs {
        return Ok(true);
    }
    // What cannot be read as a document is another object.
    let unmarked = |bytes: &[u8]| mark::with_mark(key, bytes, false).ok();
    Ok(unmarked(&ours).is_some_and(|document| unmarked(&theirs) == Some(document)))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn store(objects: &[(&str, &str)]) -> (Store, Objects) {
        let store = Store::memory();
        for (key, content) in objects {
            store.put(key, content.to_string().into()).await.unwrap();
        }
        let sizes = objects.iter().map(|(key, content)| ((*key).to_owned(), content.len() as u64)).collect();
        (store, sizes)
    }

    #[tokio::test]
    async fn new_present_and_in_conflict() {
        let ours = [
            ("a/part", "xx"),
            ("a/other", "xx"),
            ("a/new", "x"),
            ("a/metadata.json", r#"{"is_permanent":false,"n":1}"#),
            ("a_sentinel.json", r#"{"n":1}"#),
        ];
        let theirs = [
            ("a/part", "yy"),
            ("a/other", "x"),
            ("a/metadata.json", r#"{"is_permanent":true,"n":1}"#),
            ("a_sentinel.json", r#"{"n":2}"#),
        ];
        let ((from, sizes), (to, held)) = (store(&ours).await, store(&theirs).await);
        let item = |(key, bytes): (&String, &u64)| Item {
            key: key.clone(),
            bytes: *bytes,
            stage: if key.contains("json") { Stage::Metadata } else { Stage::Payload },
        };
        let found = compare(sizes.iter().map(item).collect(), &from, &to, &held).await.unwrap();
        let keys = |items: &[Item]| items.iter().map(|item| item.key.clone()).collect::<Vec<_>>();
        assert_eq!(keys(&found.new), ["a/new"]);
        assert_eq!(keys(&found.present), ["a/metadata.json", "a/part"]);
        assert_eq!(found.conflicts.len(), 2, "{:?}", found.conflicts);
        assert!(found.conflicts[0].contains("a/other: 1 bytes there, 2 bytes in the source"), "{:?}", found.conflicts);
    }
}
