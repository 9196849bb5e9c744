//! Which backups of one repository go and stay: pure.

use std::collections::BTreeMap;

use formats::{BackupId, BackupName};

use super::inventory::{Finished, Inventory, Known};
use super::wal::{Sizes, Stretch, WalPosition};
use super::{Scope, Wish};

/// The decision, and what is said about it.
#[derive(Debug, Default)]
pub(super) struct Decision {
    pub gone: BTreeMap<BackupName, String>,
    /// Kept ones that the rule does not keep, or of which nothing is known.
    pub kept: BTreeMap<BackupName, String>,
    pub stretches: Vec<Stretch>,
    pub problems: Vec<String>,
}

/// What becomes of one backup.
enum Fate {
    Stays,
    Kept(String),
    Goes(String),
}

pub(super) fn decide(inventory: &Inventory, wish: &Wish) -> Decision {
    let mut decision = Decision::default();
    if wish.scope == Scope::Archives {
        decision.stretches = stretches(inventory, wish);
        return decision;
    }
    for (name, backup) in &inventory.finished {
        if let (Known::Unreadable(why), false) = (&backup.metadata, wish.force) {
            decision.problems.push(format!("backup {name} is kept, since it may be permanent: {why}"));
        }
        match fate(name, backup, wish) {
            Fate::Stays => {}
            Fate::Kept(why) => {
                decision.kept.insert(name.clone(), why);
            }
            Fate::Goes(why) => {
                decision.gone.insert(name.clone(), why);
            }
        }
    }
    keep_bases(inventory, &mut decision);
    let kept: Vec<_> = inventory.finished.keys().filter(|name| !decision.gone.contains_key(name)).collect();
    decision.stretches = stretches_of(inventory, wish, &kept);
    decision
}

fn fate(name: &BackupName, backup: &Finished, wish: &Wish) -> Fate {
    if wish.kept.contains_key(name) {
        return Fate::Stays;
    }
    match &backup.metadata {
        Known::Read(metadata) if metadata.is_permanent => return Fate::Kept("permanent".to_owned()),
        Known::Unreadable(_) if !wish.force => return Fate::Kept("its metadata cannot be read".to_owned()),
        _ => {}
    }
    if let Some(why) = wish.gone.get(name) {
        return Fate::Goes(why.clone());
    }
    if wish.begun.contains(name) {
        return Fate::Goes("its deletion had begun".to_owned());
    }
    if is_before(name, wish.bound) {
        return Fate::Goes("older than the oldest backup that is kept".to_owned());
    }
    let id = backup.read().and_then(|metadata| metadata.user_data.as_ref()).and_then(BackupId::from_user_data);
    if id.is_none() {
        return Fate::Kept("no backup of the cluster names it".to_owned());
    }
    if !wish.orphans_go {
        return Fate::Kept("its backup of the cluster may be one that cannot be read".to_owned());
    }
    if wish.age.is_young(backup.sentinel.modified) {
        return Fate::Kept("its backup of the cluster may not be finished yet".to_owned());
    }
    Fate::Goes("its backup of the cluster was never finished".to_owned())
}

pub(super) fn is_before(name: &BackupName, bound: Option<WalPosition>) -> bool {
    WalPosition::of_backup(name).zip(bound).is_some_and(|(position, bound)| position < bound)
}

/// Whatever a kept backup is based on is kept.
fn keep_bases(inventory: &Inventory, decision: &mut Decision) {
    let kept: Vec<_> = inventory.finished.keys().filter(|name| !decision.gone.contains_key(name)).cloned().collect();
    for name in kept {
        for base in inventory.chains.ancestors(&name) {
            if decision.gone.remove(&base).is_some() {
                decision.kept.insert(base, format!("base of {name}"));
            }
        }
    }
}

/// With backups out of scope all of them stay.
fn stretches(inventory: &Inventory, wish: &Wish) -> Vec<Stretch> {
    let protected = inventory.finished.iter().filter(|(name, backup)| {
        backup.is_permanent() || wish.kept.contains_key(name) || matches!(backup.metadata, Known::Unreadable(_))
    });
    let names: Vec<_> = protected.map(|(name, _)| name).collect();
    stretches_of(inventory, wish, &names)
}

/// The log that kept backups from before the bound need. No restore point has to exist: where none is known, the log ends
/// where the backup did; where not even that can be read, it does not end.
fn stretches_of(inventory: &Inventory, wish: &Wish, kept: &[&BackupName]) -> Vec<Stretch> {
    let sizes = sizes(inventory);
    let before = kept.iter().filter(|name| is_before(name, wish.bound));
    let stretch = |name: &&&BackupName| {
        let metadata = inventory.finished.get(**name).and_then(Finished::read);
        let point = wish.kept.get(**name).copied().flatten();
        let ends: Vec<_> = metadata.map(|metadata| metadata.finish_lsn).into_iter().chain(point).collect();
        sizes.stretch(name, metadata.map(|metadata| metadata.start_lsn), &ends)
    };
    before.filter_map(|name| stretch(&name)).collect()
}

pub(super) fn sizes(inventory: &Inventory) -> Sizes {
    let mut sizes = Sizes::default();
    for (name, backup) in &inventory.finished {
        if let Some(metadata) = backup.read() {
            sizes.narrow(name, metadata.start_lsn);
        }
    }
    sizes
}
