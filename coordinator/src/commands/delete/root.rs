//! What a deletion removes from the cluster's own folder.

use std::collections::{BTreeMap, BTreeSet};

use coordinator::catalog::{self, BackupDetail, RestorePoints};
use coordinator::retention::{self, Remaining};
use formats::cluster::RestorePoint;
use formats::{BackupName, layout};
use segment_agent::retain::select::{Choice, Settled};
use segment_agent::retain::{Begun, Class, PlannedObject, single};
use storage::Store;

use super::plan::{ClusterPlan, Decided, Planner, Stored};
use crate::error::Result;

impl Planner<'_> {
    /// The cluster's own documents: sentinels, those of deltas first, then restore points, then records.
    pub(super) async fn add_root(
        &self,
        store: &Store,
        stored: &Stored,
        decided: Decided,
        begun: &Begun,
        plan: &mut ClusterPlan,
    ) -> Result<()> {
        let Decided { choice, settled } = decided;
        let chains = retention::chains(stored.backups.entries(), &stored.details);
        let mut gone: Vec<&BackupName> = settled.gone.keys().collect();
        gone.sort_by_key(|name| std::cmp::Reverse(chains.depth(name)));
        let sentinels = gone.into_iter().map(|name| (Class::Sentinel, layout::sentinel_key(name)));
        let mut keys: Vec<_> = sentinels.collect();
        plan.points = self.points(store, stored, &choice, &settled, begun, plan).await?;
        keys.extend(plan.points.keys().map(|name| (Class::RestorePoint, layout::restore_point_key(name))));
        let listed = store.list_folder(layout::BASEBACKUPS).await?.objects;
        let sizes: BTreeMap<&str, u64> = listed.iter().map(|object| (object.key.as_str(), object.size)).collect();
        plan.root.objects = keys
            .into_iter()
            .map(|(class, key)| PlannedObject { class, bytes: sizes.get(key.as_str()).copied().unwrap_or(0), key })
            .collect();
        let remains = |name: &BackupName| settled.stay.contains(name) || settled.kept.contains_key(name);
        plan.root.objects.extend(single::records(store, remains).await?);
        plan.root.gone = settled.gone;
        plan.root.kept = settled.kept;
        Ok(())
    }

    /// Only points stored before the first backup that stays can go, and only their documents are read.
    async fn points(
        &self,
        store: &Store,
        stored: &Stored,
        choice: &Choice,
        settled: &Settled,
        begun: &Begun,
        plan: &mut ClusterPlan,
    ) -> Result<BTreeMap<String, String>> {
        let details = |names: &dyn Fn(&BackupName) -> bool| -> Vec<&BackupDetail> {
            stored.details.iter().filter(|detail| names(&detail.name)).collect()
        };
        let stay = details(&|name| settled.stay.contains(name));
        let kept = details(&|name| settled.kept.contains_key(name));
        let first = stay.iter().map(|detail| detail.modified).min();
        let points = RestorePoints::load(store).await?;
        let mut gone: BTreeSet<BackupName> = settled.gone.keys().cloned().collect();
        gone.extend(begun.backups());
        let is_gone = |name: &str| gone.iter().any(|backup| backup.as_str() == name);
        let mut documents: Vec<RestorePoint> = Vec::new();
        for entry in points.entries() {
            if !is_gone(&entry.name) && first.is_some_and(|first| entry.modified >= first) {
                continue;
            }
            match points.document(&entry.name).await {
                Ok(document) => documents.push(RestorePoint { name: entry.name.clone(), ..document }),
                Err(error) if is_missing(&error) => {}
                Err(error) if self.force => tracing::warn!("{error}"),
                Err(error) => plan.root.problems.push(format!("the restore point {} is kept: {error}", entry.name)),
            }
        }
        let remaining = match choice {
            Choice::Before(_) => Remaining { whole: stay, alone: kept },
            Choice::These(_) | Choice::Nothing => {
                Remaining { whole: stay.into_iter().chain(kept).collect(), alone: vec![] }
            }
        };
        if *choice == Choice::Nothing && settled.gone.is_empty() && begun.backups().is_empty() {
            return Ok(BTreeMap::new());
        }
        Ok(retention::points_that_go(&documents, &remaining, &gone))
    }
}

fn is_missing(error: &catalog::Error) -> bool {
    matches!(error, catalog::Error::NoSuchRestorePoint { .. })
}
