//! Restore points that go: those of backups that go, and those that no remaining backup can be recovered to.

use std::collections::{BTreeMap, BTreeSet};

use formats::BackupName;
use formats::cluster::RestorePoint;

use crate::catalog::BackupDetail;

/// The backups that remain.
#[derive(Debug, Default)]
pub struct Remaining<'a> {
    /// Those from which on the whole log stays.
    pub whole: Vec<&'a BackupDetail>,
    /// Older ones, kept with the log up to their own restore point.
    pub alone: Vec<&'a BackupDetail>,
}

/// Names of the restore points that go, and why. `gone`: the backups that go, now or in an earlier deletion.
pub fn points_that_go(
    points: &[RestorePoint],
    remaining: &Remaining<'_>,
    gone: &BTreeSet<BackupName>,
) -> BTreeMap<String, String> {
    let mut going = BTreeMap::new();
    for point in points {
        let name = point.name.as_str();
        let mut all = remaining.whole.iter().chain(&remaining.alone);
        if all.any(|backup| backup.name.as_str() == name) {
            continue;
        }
        if gone.iter().any(|backup| backup.as_str() == name) {
            going.insert(point.name.clone(), "it is that of a backup that goes".to_owned());
        } else if let Some(why) = unreachable(point, remaining) {
            going.insert(point.name.clone(), why);
        }
    }
    going
}

/// `None` if a remaining backup can be recovered to the point.
fn unreachable(point: &RestorePoint, remaining: &Remaining<'_>) -> Option<String> {
    let is_older = |backup: &&&BackupDetail| backup.sentinel.finish_time <= point.finish_time;
    if remaining.whole.iter().any(|backup| is_older(&backup)) {
        return None;
    }
    let mut older: Vec<_> = remaining.alone.iter().filter(is_older).collect();
    if older.iter().any(|backup| reaches(backup, point)) {
        return None;
    }
    older.sort_by_key(|backup| backup.sentinel.finish_time);
    Some(match older.last() {
        Some(backup) => format!("the log between {} and it goes", backup.name),
        None => "no older backup remains".to_owned(),
    })
}

/// Whether the log that is kept with `backup` holds the point, on every segment.
fn reaches(backup: &BackupDetail, point: &RestorePoint) -> bool {
    backup.sentinel.segments.iter().all(|segment| {
        let end = segment.restore_point_lsn;
        end.zip(point.lsn_by_segment.get(&segment.content_id)).is_some_and(|(end, lsn)| *lsn <= end)
    })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use formats::ContentId;
    use formats::cluster::ClusterSentinel;
    use pgdata::Lsn;

    use super::*;

    fn time(second: i64) -> formats::Timestamp {
        formats::Timestamp::from_unix_nanos(second * 1_000_000_000)
    }

    fn backup(name: &str, finish: i64, lsn: u64) -> BackupDetail {
        let text = format!(
            r#"{{"start_time":"{0}","finish_time":"{0}","is_permanent":false,"segments":[{{"db_id":1,"content_id":0,
            "port":1,"hostname":"h","data_dir":"/d","backup_id":"i","backup_name":"base_1",
            "restore_point_lsn":"0/{lsn:X}"}}]}}"#,
            time(finish)
        );
        let sentinel: ClusterSentinel = serde_json::from_str(&text).unwrap();
        BackupDetail { name: BackupName::new(name).unwrap(), modified: DateTime::UNIX_EPOCH, sentinel }
    }

    fn point(name: &str, finish: i64, lsn: u64) -> RestorePoint {
        let text = format!(r#"{{"name":"{name}","start_time":"{0}","finish_time":"{0}"}}"#, time(finish));
        let mut point: RestorePoint = serde_json::from_str(&text).unwrap();
        point.lsn_by_segment.insert(ContentId(0), Lsn(lsn));
        point
    }

    #[test]
    fn what_no_backup_reaches_goes_with_its_reason() {
        let (old, new) = (backup("backup_1", 10, 100), backup("backup_3", 30, 300));
        let remaining = Remaining { whole: vec![&new], alone: vec![&old] };
        let points = [
            point("before_all", 5, 50),
            point("backup_1", 10, 100),
            point("within", 11, 100),
            point("cut", 20, 200),
            point("backup_2", 21, 210),
            point("backup_3", 30, 300),
            point("same_time", 30, 290),
            point("later", 40, 400),
        ];
        let gone = BTreeSet::from([BackupName::new("backup_2").unwrap()]);
        let going = points_that_go(&points, &remaining, &gone);
        let expected = [
            ("backup_2", "it is that of a backup that goes"),
            ("before_all", "no older backup remains"),
            ("cut", "the log between backup_1 and it goes"),
        ];
        assert_eq!(going, expected.map(|(name, why)| (name.to_owned(), why.to_owned())).into());
    }
}
