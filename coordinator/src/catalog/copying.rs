//! Which backups and restore points a copy takes along, and what log they need: pure.

use std::collections::{BTreeMap, BTreeSet};

use formats::cluster::{ClusterSentinel, RestorePoint};
use formats::{BackupName, ContentId};
use pgdata::{Lsn, TimelineId};

use super::{BackupDetail, Error};

/// What is copied of a cluster's storage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// A base before its deltas, otherwise by finish time.
    pub backups: Vec<SelectedBackup>,
    /// Names of restore points, those of the backups included, by finish time.
    pub points: Vec<String>,
    /// Odd, but the copy is right.
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SelectedBackup {
    pub name: BackupName,
    pub sentinel: ClusterSentinel,
    /// Asked for, and no mere base of another one.
    pub is_wanted: bool,
    /// Up to where each segment's log is copied.
    pub log_ends: BTreeMap<ContentId, LogPosition>,
}

/// `timeline` is absent where the restore point does not tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPosition {
    pub lsn: Lsn,
    pub timeline: Option<TimelineId>,
}

/// Each of `wanted` with all that it is based on. The log of every backup goes to its own restore point, so that what the target
/// lists can be restored; with `with_history` that of the wanted ones goes to the newest restore point of the same cluster.
pub fn select(
    all: &[BackupDetail],
    points: &[RestorePoint],
    wanted: &[BackupName],
    with_history: bool,
) -> Result<Selection, Error> {
    let by_name: BTreeMap<&BackupName, &BackupDetail> = all.iter().map(|backup| (&backup.name, backup)).collect();
    let mut taken = BTreeMap::<&BackupName, &BackupDetail>::new();
    for name in wanted {
        let mut next = Some(name.clone());
        while let Some(name) = next {
            let missing = || Error::NoSuchBackup { name: name.to_string() };
            let backup = by_name.get(&name).ok_or_else(missing)?;
            if taken.insert(&backup.name, backup).is_some() {
                break;
            }
            next = backup.sentinel.increment_base()?.map(|base| base.from);
        }
    }
    let mut selection = Selection::default();
    for backup in taken.into_values() {
        let is_wanted = wanted.contains(&backup.name);
        selection.take(backup, points, is_wanted, with_history && is_wanted)?;
    }
    selection.backups.sort_by_key(|backup| (backup.sentinel.finish_time, backup.sentinel.increment_count));
    let chosen: BTreeSet<String> = selection.points.drain(..).collect();
    let mut points: Vec<_> = points.iter().filter(|point| chosen.contains(&point.name)).collect();
    points.sort_by_key(|point| point.finish_time);
    selection.points = points.into_iter().map(|point| point.name.clone()).collect();
    Ok(selection)
}

impl Selection {
    fn take(
        &mut self,
        backup: &BackupDetail,
        points: &[RestorePoint],
        is_wanted: bool,
        with_history: bool,
    ) -> Result<(), Error> {
        let sentinel = &backup.sentinel;
        let unknown = || Error::NoRestorePointOfBackup { name: backup.name.to_string() };
        let own_name = sentinel.restore_point.as_deref().ok_or_else(unknown)?;
        let own = points.iter().find(|point| point.name == own_name);
        match own {
            Some(_) => self.points.push(own_name.to_owned()),
            None => {
                self.warnings.push(format!("the restore point of backup {} has no document in the source", backup.name))
            }
        }
        let mut log_ends = BTreeMap::new();
        for segment in &sentinel.segments {
            let of_point = own.and_then(|point| position(point, segment.content_id));
            let of_sentinel = segment.restore_point_lsn.map(|lsn| LogPosition { lsn, timeline: None });
            log_ends.insert(segment.content_id, of_point.or(of_sentinel).ok_or_else(unknown)?);
        }
        if with_history {
            let own_finish = own.map_or(sentinel.finish_time, |point| point.finish_time);
            let later = || points.iter().filter(|point| point.finish_time >= own_finish && is_of(sentinel, point));
            self.points.extend(later().map(|point| point.name.clone()));
            if let Some(newest) = later().max_by_key(|point| point.finish_time) {
                for (content, end) in &mut log_ends {
                    let newer = position(newest, *content).filter(|newer| newer.lsn > end.lsn);
                    *end = newer.unwrap_or(*end);
                }
            }
        }
        let (name, sentinel) = (backup.name.clone(), sentinel.clone());
        self.backups.push(SelectedBackup { name, sentinel, is_wanted, log_ends });
        Ok(())
    }
}

fn position(point: &RestorePoint, content: ContentId) -> Option<LogPosition> {
    let lsn = *point.lsn_by_segment.get(&content)?;
    Some(LogPosition { lsn, timeline: point.timeline_by_segment.get(&content).copied() })
}

/// Whether `point` is one of the cluster that the backup is of: the same segments, and the same system where both tell.
fn is_of(backup: &ClusterSentinel, point: &RestorePoint) -> bool {
    let contents: BTreeSet<_> = backup.segments.iter().map(|segment| segment.content_id).collect();
    let same_system = match (backup.system_identifier, point.system_identifier) {
        (Some(ours), Some(theirs)) => ours == theirs,
        _ => true,
    };
    same_system && contents.iter().eq(point.lsn_by_segment.keys())
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::super::{Backups, RestorePoints, golden};
    use super::*;

    fn known() -> (Vec<BackupDetail>, Vec<RestorePoint>) {
        let (_directory, store) = golden::store();
        let backups = block_on(block_on(Backups::load(&store)).unwrap().details()).found;
        (backups, block_on(block_on(RestorePoints::load(&store)).unwrap().documents()).found)
    }

    fn names(selection: &Selection) -> Vec<(&str, bool)> {
        selection.backups.iter().map(|backup| (backup.name.as_str(), backup.is_wanted)).collect()
    }

    #[test]
    fn a_delta_brings_its_chain_and_each_its_own_point() {
        let (backups, points) = known();
        let selection = select(&backups, &points, &[golden::DELTA_1.parse().unwrap()], false).unwrap();
        assert_eq!(names(&selection), [(golden::FULL, false), (golden::DELTA_1, true)]);
        assert_eq!(selection.points.iter().map(String::as_str).collect::<Vec<_>>(), [golden::FULL, golden::DELTA_1]);
        let own = points.iter().find(|point| point.name == golden::DELTA_1).unwrap();
        let ends: Vec<_> = selection.backups[1].log_ends.iter().map(|(content, end)| (*content, end.lsn)).collect();
        assert_eq!(ends, own.lsn_by_segment.clone().into_iter().collect::<Vec<_>>());
        assert!(selection.warnings.is_empty());
    }

    #[test]
    fn with_history_the_log_goes_to_the_newest_point_of_the_same_cluster() {
        let (backups, mut points) = known();
        let mut foreign = points.iter().max_by_key(|point| point.finish_time).unwrap().clone();
        foreign.name = "foreign".to_owned();
        foreign.finish_time = "2030-01-01T00:00:00Z".parse().unwrap();
        foreign.lsn_by_segment.remove(&ContentId(1));
        points.push(foreign);
        let selection = select(&backups, &points, &[golden::DELTA_1.parse().unwrap()], true).unwrap();
        assert_eq!(selection.points.len(), 5, "{:?}", selection.points);
        let newest = points.iter().find(|point| point.name == golden::DELTA_2).unwrap();
        assert_eq!(selection.backups[1].log_ends[&ContentId(0)].lsn, newest.lsn_by_segment[&ContentId(0)]);
        assert!(selection.backups[0].log_ends[&ContentId(0)].lsn < newest.lsn_by_segment[&ContentId(0)]);
    }

    #[test]
    fn a_point_without_document_is_told_and_one_without_position_refused() {
        let (mut backups, points) = known();
        let wanted = [golden::FULL.parse().unwrap()];
        let selection = select(&backups, &[], &wanted, true).unwrap();
        assert_eq!((selection.points.len(), selection.warnings.len()), (0, 1));
        for backup in &mut backups {
            backup.sentinel.segments.iter_mut().for_each(|segment| segment.restore_point_lsn = None);
        }
        assert!(select(&backups, &points, &wanted, false).is_ok());
        assert!(matches!(select(&backups, &[], &wanted, false), Err(Error::NoRestorePointOfBackup { .. })));
        backups.retain(|backup| backup.name.as_str() != golden::FULL);
        let delta = [golden::DELTA_1.parse().unwrap()];
        assert!(matches!(select(&backups, &points, &delta, false), Err(Error::NoSuchBackup { .. })));
    }
}
