//! Deletions in the repository of a single server: its backups stand for themselves, in the order of their log files.

use std::cmp::Ordering;

use formats::{BackupName, layout};
use storage::Store;

use super::chains::Chains;
use super::inventory::{Inventory, Known};
use super::journal::Begun;
use super::select::{Choice, Entry, Rule, choose, refuse_permanent, settle};
use super::survey::unfinished_uploads;
use super::wal::WalPosition;
use super::{Age, Class, DeletePlan, PlannedObject, Scope, Wish, survey};
use crate::error::{Error, Result};

/// How the backups of a server are looked at.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// By the time when they began, where all metadata can be read, instead of by log file.
    pub by_start_time: bool,
    pub scope: Scope,
    pub age: Age,
    pub force: bool,
}

/// The plan of `rule`, and what it came to.
pub async fn plan(store: &Store, rule: &Rule, view: View, begun: &Begun) -> Result<(Choice, DeletePlan)> {
    let mut inventory = Inventory::load(store).await?;
    if view.by_start_time || *rule == Rule::Garbage {
        read_all(store, &mut inventory).await?;
    }
    let mut entries = entries(&inventory, view.by_start_time);
    if let Rule::Target { name, .. } = rule {
        let family = inventory.chains.family(&inventory.chains.root(name));
        inventory.read_metadata(store, family).await?;
        refuse_unreadable(&inventory, view.force)?;
        mark_permanent(&mut entries, &inventory);
    }
    let choice = choose(rule, &entries, &inventory.chains)?;
    if let Choice::Before(name) = &choice {
        let older = entries.iter().take_while(|entry| entry.name != *name).map(|entry| entry.name.clone()).collect();
        inventory.read_metadata(store, older).await?;
        mark_permanent(&mut entries, &inventory);
    }
    let wish = wish(&choice, &entries, &inventory.chains, view, begun);
    let mut plan = survey(store, &mut inventory, &wish).await?;
    add_records(store, &mut plan, &inventory).await?;
    Ok((choice, plan))
}

fn wish(choice: &Choice, entries: &[Entry], chains: &Chains, view: View, begun: &Begun) -> Wish {
    let reason = match choice {
        Choice::Before(name) => format!("older than {name}"),
        Choice::These(_) | Choice::Nothing => "asked for".to_owned(),
    };
    let settled = settle(choice, &reason, entries, chains);
    let bound = match choice {
        Choice::Before(_) => settled.stay.iter().filter_map(WalPosition::of_backup).min(),
        Choice::These(_) | Choice::Nothing => None,
    };
    Wish {
        kept: settled.stay.into_iter().chain(settled.kept.into_keys()).map(|name| (name, None)).collect(),
        gone: settled.gone,
        bound,
        begun: begun.backups(),
        orphans_go: false,
        scope: view.scope,
        age: view.age,
        force: view.force,
    }
}

async fn read_all(store: &Store, inventory: &mut Inventory) -> Result<()> {
    let all = inventory.finished.keys().cloned().collect();
    inventory.read_metadata(store, all).await
}

fn mark_permanent(entries: &mut [Entry], inventory: &Inventory) {
    for entry in entries {
        entry.permanent = inventory.finished.get(&entry.name).is_some_and(|backup| backup.is_permanent());
    }
}

/// A backup that is asked for by name may be permanent.
fn refuse_unreadable(inventory: &Inventory, force: bool) -> Result<()> {
    let unreadable = inventory.finished.iter().find_map(|(name, backup)| match &backup.metadata {
        Known::Unreadable(why) if !force => Some((name, why)),
        _ => None,
    });
    match unreadable {
        None => Ok(()),
        Some((name, why)) => {
            let what = format!("whether backup {name} is permanent cannot be found out: {why}");
            Err(Error::refused(what, "repair its metadata.json, or add --force-delete if it may go"))
        }
    }
}

/// Oldest first. Backups of which the name tells no log file are not subject to rules.
fn entries(inventory: &Inventory, by_start_time: bool) -> Vec<Entry> {
    let start = |name: &BackupName| Some(inventory.finished.get(name)?.read()?.start_time.0.to_utc());
    let named = || inventory.finished.iter().filter(|(name, _)| WalPosition::of_backup(name).is_some());
    let by_start_time = by_start_time && named().all(|(name, _)| start(name).is_some());
    let entry = |(name, backup): (&BackupName, &super::Finished)| {
        let time = start(name).filter(|_| by_start_time).unwrap_or(backup.sentinel.modified);
        Entry { name: name.clone(), time, permanent: backup.is_permanent() }
    };
    let mut entries: Vec<Entry> = named().map(entry).collect();
    entries.sort_by(|a, b| if by_start_time { a.time.cmp(&b.time) } else { by_log_file(a, b) });
    entries
}

fn by_log_file(a: &Entry, b: &Entry) -> Ordering {
    WalPosition::of_backup(&a.name).cmp(&WalPosition::of_backup(&b.name))
}

/// What is Damson's own about the backups that go, and about those that are gone already.
async fn add_records(store: &Store, plan: &mut DeletePlan, inventory: &Inventory) -> Result<()> {
    let remains = |name: &BackupName| inventory.finished.contains_key(name) && !plan.gone.contains_key(name);
    let records = records(store, remains).await?;
    plan.objects.extend(records);
    Ok(())
}

/// The records in `damson_005` of backups that do not remain. Leases and deletions under way are no records.
pub async fn records(store: &Store, remains: impl Fn(&BackupName) -> bool) -> Result<Vec<PlannedObject>> {
    let mut records = Vec::new();
    for object in store.list(layout::DAMSON).await? {
        let of = layout::backup_name_of_record_key(&object.key);
        if of.is_some_and(|name| !remains(&name)) {
            records.push(PlannedObject { class: Class::Record, key: object.key, bytes: object.size });
        }
    }
    Ok(records)
}

/// Everything of this project and of WAL-G that lies in `folders`; what others put beside it stays.
pub async fn everything(store: &Store, folders: &[&str]) -> Result<DeletePlan> {
    let mut plan = DeletePlan::default();
    for folder in folders {
        for object in store.list(folder).await? {
            let class = if layout::backup_name_of_sentinel_key(&object.key).is_some() {
                Class::Sentinel
            } else if layout::restore_point_name_of_key(&object.key).is_some() {
                Class::RestorePoint
            } else if object.key.contains("/wal_005/") || object.key.starts_with("wal_005/") {
                Class::Log
            } else if layout::is_at_work(&object.key) {
                // The lease that this deletion holds, and its own document.
                continue;
            } else if folder.starts_with(layout::DAMSON) {
                Class::Record
            } else {
                Class::Backup
            };
            plan.objects.push(PlannedObject { class, key: object.key, bytes: object.size });
        }
        plan.uploads.extend(unfinished_uploads(store, folder).await);
    }
    // Stable: the sentinels of a cluster's backups stand before those of its segments.
    plan.objects.sort_by_key(|object| object.class != Class::Sentinel);
    Ok(plan)
}

/// Refuses to delete everything while there are permanent backups, or backups that may be.
pub async fn refuse_everything(store: &Store) -> Result<()> {
    let mut inventory = Inventory::load(store).await?;
    read_all(store, &mut inventory).await?;
    refuse_unreadable(&inventory, false)?;
    let permanent = inventory.finished.iter().filter(|(_, backup)| backup.is_permanent());
    refuse_permanent(&permanent.map(|(name, _)| name.clone()).collect::<Vec<_>>())
}
