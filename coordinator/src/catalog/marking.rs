//! Which documents a change of permanence rewrites, and in which order: pure.
//!
//! The order in which sentinels were stored is the order of the backups, for this product and for WAL-G: a sentinel that is
//! stored anew would make its backup the latest. So all documents behind it are stored anew, too, oldest first, and the order
//! stays. A run that was cut off leaves them out of order; the next one finds that out and completes it.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use formats::{BackupName, Timestamp, layout};

/// A sentinel or the document of a restore point, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDocument {
    pub key: String,
    pub modified: DateTime<Utc>,
    pub finish_time: Timestamp,
    pub body: Bytes,
}

impl StoredDocument {
    fn is_sentinel(&self) -> bool {
        layout::backup_name_of_sentinel_key(&self.key).is_some()
    }
}

/// What to store, in this order. `changed`: the new bodies of some documents.
pub fn rewrites(mut documents: Vec<StoredDocument>, changed: &BTreeMap<String, Bytes>) -> Vec<(String, Bytes)> {
    // A backup's restore point stands behind its sentinel: WAL-G deletes what is older than the oldest sentinel it keeps.
    documents.sort_by(|a, b| {
        let order = |document: &StoredDocument| (document.finish_time, !document.is_sentinel());
        order(a).cmp(&order(b)).then_with(|| a.key.cmp(&b.key))
    });
    let first_changed = documents.iter().position(|document| changed.contains_key(&document.key));
    let Some(first) = first_changed.into_iter().chain(first_misplaced(&documents)).min() else { return Vec::new() };
    let rewrite = |document: StoredDocument| {
        let body = changed.get(&document.key).cloned().unwrap_or(document.body);
        (document.key, body)
    };
    documents.into_iter().skip(first).map(rewrite).collect()
}

/// The first sentinel that was stored after one that belongs behind it.
fn first_misplaced(documents: &[StoredDocument]) -> Option<usize> {
    let mut earliest_behind = None::<DateTime<Utc>>;
    let mut first = None;
    for (position, document) in documents.iter().enumerate().rev().filter(|(_, document)| document.is_sentinel()) {
        if earliest_behind.is_some_and(|behind| behind < document.modified) {
            first = Some(position);
        }
        earliest_behind = Some(earliest_behind.map_or(document.modified, |behind| behind.min(document.modified)));
    }
    first
}

/// `name` and all that it is based on, the full backup first; `bases` has the base of every delta.
pub fn chain(bases: &BTreeMap<BackupName, BackupName>, name: &BackupName) -> Vec<BackupName> {
    let mut chain = vec![name.clone()];
    while let Some(base) = chain.last().and_then(|name| bases.get(name)).filter(|base| !chain.contains(base)) {
        chain.push(base.clone());
    }
    chain.reverse();
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(name: &str, finish: i64, modified: i64) -> StoredDocument {
        StoredDocument {
            key: format!("basebackups_005/{name}"),
            modified: DateTime::from_timestamp(modified, 0).unwrap(),
            finish_time: Timestamp::from_unix_nanos(finish * 1_000_000_000),
            body: Bytes::from(name.to_owned()),
        }
    }

    fn documents(modified: [i64; 6]) -> Vec<StoredDocument> {
        let names = [
            ("a_backup_stop_sentinel.json", 10),
            ("a_restore_point.json", 10),
            ("b_backup_stop_sentinel.json", 20),
            ("b_restore_point.json", 20),
            ("hourly_restore_point.json", 25),
            ("c_backup_stop_sentinel.json", 30),
        ];
        names.into_iter().zip(modified).map(|((name, finish), modified)| document(name, finish, modified)).collect()
    }

    fn keys(rewrites: &[(String, Bytes)]) -> Vec<&str> {
        rewrites.iter().map(|(key, _)| key.strip_prefix("basebackups_005/").unwrap()).collect()
    }

    fn changed(name: &str) -> BTreeMap<String, Bytes> {
        BTreeMap::from([(format!("basebackups_005/{name}"), Bytes::from_static(b"new"))])
    }

    #[test]
    fn what_is_behind_the_change_follows_in_its_order() {
        let found = rewrites(documents([1, 1, 2, 2, 3, 4]), &changed("b_backup_stop_sentinel.json"));
        let expected = [
            "b_backup_stop_sentinel.json",
            "b_restore_point.json",
            "hourly_restore_point.json",
            "c_backup_stop_sentinel.json",
        ];
        assert_eq!(keys(&found), expected);
        assert_eq!((&found[0].1[..], &found[3].1[..]), (&b"new"[..], &b"c_backup_stop_sentinel.json"[..]));
        assert_eq!(keys(&rewrites(documents([1, 1, 2, 2, 3, 4]), &changed("c_backup_stop_sentinel.json"))).len(), 1);
    }

    /// Cut off after the first of the six was stored anew: it seems to be the latest.
    #[test]
    fn a_run_that_was_cut_off_is_completed() {
        assert_eq!(rewrites(documents([1, 1, 2, 2, 3, 4]), &BTreeMap::new()), []);
        assert_eq!(rewrites(documents([1; 6]), &BTreeMap::new()), [], "times of whole seconds tell no order");
        assert_eq!(rewrites(documents([9, 1, 2, 2, 3, 4]), &BTreeMap::new()).len(), 6);
        assert_eq!(keys(&rewrites(documents([1, 1, 9, 2, 3, 4]), &BTreeMap::new()))[0], "b_backup_stop_sentinel.json");
    }

    #[test]
    fn chains_end_even_where_they_are_circles() {
        let name = |text: &str| text.parse::<BackupName>().unwrap();
        let bases = BTreeMap::from([(name("c"), name("b")), (name("b"), name("a"))]);
        assert_eq!(chain(&bases, &name("c")), [name("a"), name("b"), name("c")]);
        let circle = BTreeMap::from([(name("a"), name("b")), (name("b"), name("a"))]);
        assert_eq!(chain(&circle, &name("a")).len(), 2);
    }
}
