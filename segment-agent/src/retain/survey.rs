//! From a wish to a plan: lists what goes, and nothing else.

use std::time::Duration;

use formats::{BackupName, layout};
use futures::stream::{self, StreamExt, TryStreamExt};
use storage::{ObjectInfo, StaleUpload, Store};

use super::decide::{Decision, decide, is_before};
use super::inventory::{Inventory, REQUESTS_AT_ONCE};
use super::{Class, DeletePlan, PlannedObject, Scope, Wish, shared, wal};
use crate::error::{Error, Result};

/// An upload to the archive that began so long ago is nobody's any more.
const ARCHIVE_UPLOAD: Duration = Duration::from_secs(24 * 3600);

/// Plans what `wish` asks for in the repository `store`. Reads the metadata of the backups that may go, and of kept ones that
/// need a part of the log that would go.
pub async fn survey(store: &Store, inventory: &mut Inventory, wish: &Wish) -> Result<DeletePlan> {
    let matters = |name: &&BackupName| !wish.kept.contains_key(name) || is_before(name, wish.bound);
    let names = inventory.finished.keys().filter(matters).cloned().collect();
    inventory.read_metadata(store, names).await?;
    let decision = decide(inventory, wish);
    let mut plan = DeletePlan::default();
    if wish.scope != Scope::Archives {
        add_backups(store, inventory, &decision, &mut plan).await?;
        let gone = decision.gone.keys().collect();
        let unshared = shared::unshared(store, inventory, &gone, wish.age).await?;
        add(&mut plan, Class::Shared, unshared.objects);
        if unshared.young > 0 {
            plan.notes.push(format!(
                "{} AO and PAX files that no backup names are kept, since a push may have stored them just now",
                unshared.young
            ));
        }
        plan.problems.extend(unshared.problems);
    }
    if let (Some(bound), true) = (wish.bound, wish.scope != Scope::Backups) {
        let log = store.list_before(layout::WAL, &wal::end_of_listing(bound)).await?;
        let outdated: Vec<_> = wal::outdated(&log, bound, &decision.stretches).cloned().collect();
        add(&mut plan, Class::Log, outdated);
    }
    if wish.scope != Scope::Archives {
        add_leftovers(store, inventory, wish, &mut plan).await?;
    }
    plan.uploads = stale_uploads(store, wish).await;
    plan.problems.extend(decision.problems);
    plan.gone = decision.gone;
    plan.kept = decision.kept;
    Ok(plan)
}

fn add(plan: &mut DeletePlan, class: Class, objects: Vec<ObjectInfo>) {
    plan.objects.extend(objects.into_iter().map(|object| PlannedObject { class, key: object.key, bytes: object.size }));
}

/// All sentinels before anything else, those of deltas before those of their bases.
async fn add_backups(store: &Store, inventory: &Inventory, decision: &Decision, plan: &mut DeletePlan) -> Result<()> {
    let mut gone: Vec<&BackupName> = decision.gone.keys().collect();
    gone.sort_by_key(|name| std::cmp::Reverse(inventory.chains.depth(name)));
    let sentinels = gone.iter().filter_map(|name| Some(inventory.finished.get(*name)?.sentinel.clone()));
    add(plan, Class::Sentinel, sentinels.collect());
    for objects in folders(store, gone.into_iter()).await? {
        add(plan, Class::Backup, objects);
    }
    Ok(())
}

/// The objects of each backup's folder, in the order of the names.
async fn folders<'a>(store: &Store, names: impl Iterator<Item = &'a BackupName>) -> Result<Vec<Vec<ObjectInfo>>> {
    let requests: Vec<_> = names.map(|name| list(store, layout::backup_folder(name))).collect();
    stream::iter(requests).buffered(REQUESTS_AT_ONCE).try_collect().await
}

async fn list(store: &Store, folder: String) -> Result<Vec<ObjectInfo>, Error> {
    Ok(store.list(&folder).await?)
}

/// Folders of pushes that never ended, and of deletions that were killed.
async fn add_leftovers(store: &Store, inventory: &Inventory, wish: &Wish, plan: &mut DeletePlan) -> Result<()> {
    let found = folders(store, inventory.unfinished.iter()).await?;
    for (name, objects) in inventory.unfinished.iter().zip(found) {
        let newest = objects.iter().map(|object| object.modified).max();
        if !wish.begun.contains(name) && newest.is_some_and(|newest| wish.age.is_young(newest)) {
            plan.notes.push(format!("{name} has no sentinel and is kept, since its push may still be under way"));
        } else {
            add(plan, Class::Leftover, objects);
        }
    }
    Ok(())
}

/// Not every storage can list them, and not every user may: then they are left to the storage's own rules.
pub(super) async fn unfinished_uploads(store: &Store, folder: &str) -> Vec<StaleUpload> {
    store.stale_uploads(folder).await.unwrap_or_else(|error| {
        tracing::debug!("unfinished uploads are not looked for: {error}");
        Vec::new()
    })
}

/// Log files are uploaded at any time, so that only old uploads to the archive are nobody's.
async fn stale_uploads(store: &Store, wish: &Wish) -> Vec<StaleUpload> {
    let mut uploads = Vec::new();
    let folders =
        [(layout::BASEBACKUPS, Duration::ZERO, Scope::Archives), (layout::WAL, ARCHIVE_UPLOAD, Scope::Backups)];
    for (folder, least, not_in) in folders {
        if wish.scope == not_in {
            continue;
        }
        let age = super::Age { leftover: wish.age.leftover.max(least), ..wish.age };
        let all = unfinished_uploads(store, folder).await;
        uploads.extend(all.into_iter().filter(|upload| !age.is_young(upload.started)));
    }
    uploads
}
