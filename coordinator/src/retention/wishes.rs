//! From the rule for the cluster to the wishes for its segments.

use std::collections::{BTreeMap, BTreeSet};

use formats::{BackupName, ContentId};
use segment_agent::retain::chains::Chains;
use segment_agent::retain::select::{Choice, Entry, Settled};
use segment_agent::retain::wal::WalPosition;
use segment_agent::retain::{Age, Begun, Inventory, Known, Scope, Wish};

use crate::catalog::{Backup, BackupDetail};

/// The bases of the backups, from their sentinels; from the name of a backup whose sentinel cannot be read.
pub fn chains(backups: &[Backup], details: &[BackupDetail]) -> Chains {
    let (mut chains, _) = Chains::from_names(backups.iter().map(|backup| &backup.name));
    for detail in details {
        chains.set(&detail.name, detail.sentinel.increment_from.clone());
    }
    chains
}

/// The backups as rules see them. `marked`: those with a segment's backup that is permanent, whatever the sentinel says.
pub fn entries(backups: &[Backup], details: &[BackupDetail], marked: &BTreeSet<BackupName>) -> Vec<Entry> {
    let permanent: BTreeSet<_> =
        details.iter().filter(|detail| detail.sentinel.is_permanent).map(|detail| &detail.name).collect();
    let entry = |backup: &Backup| Entry {
        name: backup.name.clone(),
        time: backup.modified,
        permanent: permanent.contains(&backup.name) || marked.contains(&backup.name),
    };
    backups.iter().map(entry).collect()
}

/// Backups of the cluster of which a segment's backup is permanent, or may be.
pub fn marked(
    details: &[BackupDetail],
    inventories: &BTreeMap<ContentId, Inventory>,
    force: bool,
) -> BTreeSet<BackupName> {
    let is_marked = |detail: &&BackupDetail| {
        detail.sentinel.segments.iter().any(|segment| {
            let inventory = inventories.get(&segment.content_id);
            inventory.and_then(|inventory| inventory.finished.get(&segment.backup_name)).is_some_and(|backup| {
                match &backup.metadata {
                    Known::Unreadable(_) => !force,
                    _ => backup.is_permanent(),
                }
            })
        })
    };
    details.iter().filter(is_marked).map(|detail| detail.name.clone()).collect()
}

/// What all segments have in common.
#[derive(Clone, Copy)]
pub struct Common<'a> {
    pub begun: &'a Begun,
    /// Every sentinel of the cluster could be read, so that a backup that none names has none.
    pub all_are_known: bool,
    pub age: Age,
    pub force: bool,
}

/// The wish for each of `contents`.
pub fn wishes(
    contents: &BTreeSet<ContentId>,
    details: &[BackupDetail],
    choice: &Choice,
    settled: &Settled,
    common: Common<'_>,
) -> BTreeMap<ContentId, Wish> {
    contents.iter().map(|content| (*content, wish(*content, details, choice, settled, common))).collect()
}

fn wish(content: ContentId, details: &[BackupDetail], choice: &Choice, settled: &Settled, common: Common<'_>) -> Wish {
    let mut wish = Wish {
        begun: common.begun.of_segment(content),
        orphans_go: common.all_are_known,
        scope: Scope::All,
        age: common.age,
        force: common.force,
        ..Wish::default()
    };
    let mut bound: Option<WalPosition> = None;
    for detail in details {
        for segment in detail.sentinel.segments.iter().filter(|segment| segment.content_id == content) {
            let stays = settled.stay.contains(&detail.name);
            if stays || settled.kept.contains_key(&detail.name) {
                let end = wish.kept.entry(segment.backup_name.clone()).or_default();
                *end = (*end).max(segment.restore_point_lsn);
            } else if let Some(why) = settled.gone.get(&detail.name) {
                wish.gone.insert(segment.backup_name.clone(), why.clone());
            }
            if stays {
                let begin = WalPosition::of_backup(&segment.backup_name);
                bound = [bound, begin].into_iter().flatten().min();
            }
        }
    }
    if matches!(choice, Choice::Before(_)) {
        wish.bound = bound;
    }
    wish
}
