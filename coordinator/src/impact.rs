//! What damage of segments means for the cluster: which of its backups cannot be restored, which restore points are out of
//! reach.
//!
//! A restore point is out of reach if some backup led to it and, because of the damage, none does any more. Pure: documents in,
//! names out.

use std::collections::BTreeMap;

use formats::cluster::{ClusterSentinel, RestorePoint};
use formats::wire::SegmentFinding;
use formats::{BackupName, ContentId};
use pgdata::{Lsn, SegmentSize, TimelineId, WalName};

/// The damage of one segment.
#[derive(Clone, Copy, Debug)]
pub struct SegmentDamage<'a> {
    pub content: ContentId,
    pub findings: &'a [SegmentFinding],
    /// Of the log; unknown where no control file could be read.
    pub segment_size: Option<SegmentSize>,
}

/// Where a segment's log ends for a restore point.
pub type Ends = BTreeMap<ContentId, (TimelineId, Lsn)>;

/// Whether a finding keeps the backup of the segment, or the log from it up to `end`, from being restored.
fn concerns(
    damage: &SegmentDamage<'_>,
    finding: &SegmentFinding,
    backup: &BackupName,
    end: Option<(TimelineId, Lsn)>,
) -> bool {
    let Some(name) = finding.object.strip_prefix("wal_005/") else { return finding.backups.contains(backup) };
    let Some(size) = damage.segment_size else { return finding.backups.contains(backup) };
    let parse = |name: Option<&str>| name.and_then(|name| WalName::parse(name, size).ok());
    let (Some(file), Some(start)) = (parse(name.get(..24)), parse(backup.wal_file_name())) else {
        return finding.backups.contains(backup);
    };
    let Some((timeline, lsn)) = end else { return finding.backups.contains(backup) };
    let last = size.segment_of(Lsn(lsn.0.saturating_sub(1)));
    (start.segment..=last).contains(&file.segment) && (start.timeline..=timeline).contains(&file.timeline)
}

/// Findings that keep `sentinel`'s backup from being restored up to `ends`, with the content id of their segment.
pub fn findings_of<'a>(
    sentinel: &ClusterSentinel,
    ends: &Ends,
    damage: &[SegmentDamage<'a>],
) -> Vec<(ContentId, &'a SegmentFinding)> {
    let mut found = Vec::new();
    for segment in &sentinel.segments {
        let end = ends.get(&segment.content_id).copied();
        for damage in damage.iter().filter(|damage| damage.content == segment.content_id) {
            let of_backup =
                damage.findings.iter().filter(|finding| concerns(damage, finding, &segment.backup_name, end));
            found.extend(of_backup.map(|finding| (damage.content, finding)));
        }
    }
    found
}

/// Where the log of each segment ends for `point`. Documents of old releases know the coordinator's timeline alone.
pub fn ends_of(point: &RestorePoint) -> Ends {
    let end = |(content, lsn): (&ContentId, &Lsn)| {
        let timeline = point.timeline_by_segment.get(content).copied().unwrap_or(point.timeline);
        (*content, (timeline, *lsn))
    };
    point.lsn_by_segment.iter().map(end).collect()
}

/// Whether the log leads from the backup to the point: on every segment the point is not before the backup's own.
fn leads_to(sentinel: &ClusterSentinel, point: &RestorePoint) -> bool {
    sentinel.segments.iter().all(|segment| match point.lsn_by_segment.get(&segment.content_id) {
        Some(lsn) => segment.restore_point_lsn.is_none_or(|own| own <= *lsn),
        None => false,
    })
}

/// Names of the restore points that the damage puts out of reach.
pub fn points_out_of_reach(
    points: &[RestorePoint],
    backups: &[ClusterSentinel],
    damage: &[SegmentDamage<'_>],
) -> Vec<String> {
    let out_of_reach = |point: &&RestorePoint| {
        let mut leading = backups.iter().filter(|backup| leads_to(backup, point)).peekable();
        leading.peek().is_some() && !leading.any(|backup| findings_of(backup, &ends_of(point), damage).is_empty())
    };
    points.iter().filter(out_of_reach).map(|point| point.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::golden;
    use crate::catalog::{Backups, RestorePoints};

    const MIB: u64 = 1 << 20;

    struct Scene {
        backups: Vec<ClusterSentinel>,
        points: Vec<RestorePoint>,
    }

    fn scene() -> Scene {
        let (_directory, store) = golden::store();
        futures::executor::block_on(async {
            let backups = Backups::load(&store).await.unwrap().details().await.found;
            let points = RestorePoints::load(&store).await.unwrap().documents().await.found;
            Scene { backups: backups.into_iter().map(|backup| backup.sentinel).collect(), points }
        })
    }

    impl Scene {
        /// Numbers of the backups that are concerned, and the points out of reach.
        fn impact(&self, object: &str, backups: &[&BackupName]) -> (Vec<usize>, Vec<String>) {
            let findings = [SegmentFinding {
                object: object.to_owned(),
                problem: "it is missing".to_owned(),
                backups: backups.iter().map(|name| (*name).clone()).collect(),
            }];
            let segment_size = SegmentSize::new(64 * MIB).ok();
            let damage = [SegmentDamage { content: ContentId(0), findings: &findings, segment_size }];
            let own_ends = |sentinel: &ClusterSentinel| {
                let name = sentinel.restore_point.clone().unwrap();
                ends_of(self.points.iter().find(|point| point.name == name).unwrap())
            };
            let hit = |backup: &&ClusterSentinel| !findings_of(backup, &own_ends(backup), &damage).is_empty();
            let numbers = (0..self.backups.len()).filter(|number| hit(&&self.backups[*number])).collect();
            (numbers, points_out_of_reach(&self.points, &self.backups, &damage))
        }

        fn segment_backup(&self, number: usize) -> &BackupName {
            let of_zero = |segment: &&formats::cluster::SegmentMetadata| segment.content_id == ContentId(0);
            &self.backups[number].segments.iter().find(of_zero).unwrap().backup_name
        }
    }

    #[test]
    fn a_damaged_object_costs_its_backups_and_the_points_that_only_they_lead_to() {
        let scene = scene();
        let all = [0, 1, 2].map(|number| scene.segment_backup(number));
        let names: Vec<_> = scene.points.iter().map(|point| point.name.clone()).collect();
        assert_eq!(names.len(), 5);
        assert_eq!(scene.impact("basebackups_005/x", &all), (vec![0, 1, 2], names.clone()));
        let (hit, lost) = scene.impact("basebackups_005/x", &all[2..]);
        assert_eq!(hit, [2]);
        assert_eq!(lost, Vec::<String>::new(), "the older backups and the log lead there too");
        let (hit, lost) = scene.impact("basebackups_005/x", &all[..1]);
        assert_eq!((hit, lost), (vec![0], vec![golden::FULL.to_owned()]));
    }

    #[test]
    fn a_hole_in_the_log_costs_what_lies_behind_it() {
        let scene = scene();
        let needed = |lsn: Lsn| {
            SegmentSize::new(64 * MIB)
                .unwrap()
                .name_of(TimelineId(1), lsn)
                .file_name(SegmentSize::new(64 * MIB).unwrap())
        };
        let last = scene.points.iter().find(|point| point.name == "after_damage").unwrap();
        let file = needed(last.lsn_by_segment[&ContentId(0)]);
        let (hit, lost) = scene.impact(&format!("wal_005/{file}.zst"), &[]);
        assert!(hit.is_empty(), "{hit:?}");
        assert_eq!(lost, ["after_damage"]);
    }
}
