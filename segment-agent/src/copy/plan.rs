//! What is copied of one repository, and in which order: pure.

use std::collections::BTreeMap;

use formats::{BackupName, layout};
use pgdata::SegmentSize;

use super::gather::Source;
use super::wal::select;

/// One object, by its key in the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub key: String,
    pub bytes: u64,
    pub stage: Stage,
}

/// When an object is copied: after all that it speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Payload,
    Metadata,
    /// By its place in the order of the backups, which stays that of the source: a base before its deltas, the latest last.
    Sentinel(usize),
    /// By its place in the order of the restore points.
    RestorePoint(usize),
    /// By its place in the order of the cluster's backups.
    ClusterSentinel(usize),
}

/// What was planned, and what is odd about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub items: Vec<Item>,
    pub warnings: Vec<String>,
    /// Why the copy would not be whole: it must not be made.
    pub problems: Vec<String>,
}

/// Each backup of `source` with everything below its folder, the shared objects that it refers to, and its log.
pub fn plan(source: &Source, size: SegmentSize) -> Plan {
    let mut plan = Plan::default();
    let mut items = BTreeMap::<String, (u64, Stage)>::new();
    for backup in &source.backups {
        let folder = layout::backup_folder(&backup.name) + "/";
        let metadata = layout::metadata_key(&backup.name);
        for (key, bytes) in source.objects.range(folder.clone()..).take_while(|(key, _)| key.starts_with(&folder)) {
            let stage = if *key == metadata { Stage::Metadata } else { Stage::Payload };
            items.insert(key.clone(), (*bytes, stage));
        }
        for key in &backup.shared {
            match source.objects.get(key) {
                Some(bytes) => drop(items.insert(key.clone(), (*bytes, Stage::Payload))),
                None => plan.problems.push(missing(&backup.name, key)),
            }
        }
        let sentinel = layout::sentinel_key(&backup.name);
        match source.objects.get(&sentinel) {
            Some(bytes) => drop(items.insert(sentinel, (*bytes, Stage::Sentinel(backup.rank)))),
            None => plan.problems.push(missing(&backup.name, &sentinel)),
        }
    }
    let needs: Vec<_> = source.backups.iter().filter_map(|backup| backup.log.clone()).collect();
    let log = select(&source.objects, &needs, size);
    for (what, is_required) in log.missing {
        if is_required { plan.problems.push(what) } else { plan.warnings.push(what) }
    }
    items.extend(log.objects.into_iter().map(|(key, bytes)| (key, (bytes, Stage::Payload))));
    plan.items = items.into_iter().map(|(key, (bytes, stage))| Item { key, bytes, stage }).collect();
    plan
}

fn missing(backup: &BackupName, key: &str) -> String {
    format!("backup {backup} needs the object {key}, which does not exist in the source")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::copy::gather::SourceBackup;

    const FULL: &str = "base_000000010000000000000002";
    const DELTA: &str = "base_000000010000000000000004_D_000000010000000000000002";

    fn source() -> Source {
        let backup = |name: &str, rank, shared: &[&str]| SourceBackup {
            name: name.parse().unwrap(),
            rank,
            shared: shared.iter().map(|key| format!("basebackups_005/aosegments/{key}")).collect::<BTreeSet<_>>(),
            log: None,
        };
        let keys = [
            format!("basebackups_005/{FULL}/metadata.json"),
            format!("basebackups_005/{FULL}/tar_partitions/part_001.tar.lz4"),
            format!("basebackups_005/{FULL}_backup_stop_sentinel.json"),
            format!("basebackups_005/{DELTA}/metadata.json"),
            format!("basebackups_005/{DELTA}_backup_stop_sentinel.json"),
            "basebackups_005/aosegments/a_aoseg".to_owned(),
            "basebackups_005/aosegments/a_D_2_aoseg".to_owned(),
            "basebackups_005/aosegments/other_aoseg".to_owned(),
            "wal_005/00000002.history.lz4".to_owned(),
        ];
        let objects = keys.into_iter().enumerate().map(|(number, key)| (key, number as u64)).collect();
        let backups = vec![backup(FULL, 0, &["a_aoseg"]), backup(DELTA, 1, &["a_aoseg", "a_D_2_aoseg"])];
        Source { objects, backups }
    }

    fn planned(source: &Source) -> Plan {
        plan(source, SegmentSize::new(16 << 20).unwrap())
    }

    /// A folder's name may begin like another's: the delta's sentinel is none of the full backup's objects.
    #[test]
    fn everything_of_each_backup_and_nothing_else() {
        let plan = planned(&source());
        assert_eq!((plan.problems.len(), plan.warnings.len()), (0, 0));
        let mut stages: Vec<_> = plan.items.iter().map(|item| (item.stage, item.bytes)).collect();
        stages.sort();
        let payload = [1, 5, 6, 8].map(|bytes| (Stage::Payload, bytes));
        let metadata = [0, 3].map(|bytes| (Stage::Metadata, bytes));
        let sentinels = [(Stage::Sentinel(0), 2), (Stage::Sentinel(1), 4)];
        assert_eq!(stages, [&payload[..], &metadata, &sentinels].concat());
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut source = source();
        source.objects.remove("basebackups_005/aosegments/a_D_2_aoseg");
        source.objects.remove(&format!("basebackups_005/{FULL}_backup_stop_sentinel.json"));
        let problems = planned(&source).problems;
        assert_eq!(problems.len(), 2);
        assert!(problems[1].contains("a_D_2_aoseg") && problems[1].contains(DELTA), "{problems:?}");
    }

    #[test]
    fn sentinels_come_after_what_they_speak_for() {
        let order = [Stage::Payload, Stage::Metadata, Stage::Sentinel(0), Stage::Sentinel(1), Stage::RestorePoint(0)];
        assert!(order.is_sorted() && Stage::RestorePoint(9) < Stage::ClusterSentinel(0));
    }
}
