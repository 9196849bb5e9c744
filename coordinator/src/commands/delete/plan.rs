//! The plan of a deletion for the cluster and all its segments.

use std::collections::{BTreeMap, BTreeSet};

use coordinator::catalog::{BackupDetail, BackupTarget, Backups, select};
use coordinator::retention::{self, Common};
use formats::{BackupName, ContentId, layout};
use futures::stream::{self, StreamExt};
use segment_agent::backups::Wanted;
use segment_agent::cli::say_nothing_found;
use segment_agent::repository::Repository;
use segment_agent::retain::select::{Choice, Rule, Settled, choose, refuse_permanent, settle};
use segment_agent::retain::{Age, Begun, DeletePlan, Inventory, Wish, single, survey};
use storage::Store;

use super::Job;
use crate::error::{Error, Result};

/// What goes, everywhere.
#[derive(Default)]
pub struct ClusterPlan {
    /// Of the cluster's own folder.
    pub root: DeletePlan,
    /// Restore points that go, and why.
    pub points: BTreeMap<String, String>,
    pub segments: BTreeMap<ContentId, DeletePlan>,
    /// Ids of the segments' backups that stay first.
    pub ids: BTreeMap<ContentId, String>,
    /// Segments that cannot be looked at.
    pub failed: BTreeMap<ContentId, String>,
}

impl ClusterPlan {
    /// Everything that could not be found out, after the folder it concerns.
    pub fn problems(&self) -> Vec<(String, &str)> {
        let of = |prefix: String, plan: &'_ DeletePlan| {
            plan.problems.iter().map(move |_| prefix.clone()).collect::<Vec<_>>()
        };
        let mut all: Vec<(String, &str)> = Vec::new();
        for (prefix, problem) in of(String::new(), &self.root).into_iter().zip(&self.root.problems) {
            all.push((prefix, problem));
        }
        for (content, plan) in &self.segments {
            let prefix = format!("{}: ", layout::segment_prefix(*content));
            all.extend(plan.problems.iter().map(|problem| (prefix.clone(), problem.as_str())));
        }
        for (content, problem) in &self.failed {
            all.push((format!("{}: ", layout::segment_prefix(*content)), problem));
        }
        all
    }

    pub fn is_complete(&self) -> bool {
        self.problems().is_empty()
    }
}

pub struct Planner<'a> {
    pub repository: &'a Repository,
    /// Segments looked at together.
    pub concurrency: usize,
    pub age: Age,
    pub force: bool,
}

/// The cluster's backups as they are stored.
pub(super) struct Stored {
    pub backups: Backups,
    pub details: Vec<BackupDetail>,
    all_are_known: bool,
}

/// What the rule comes to.
pub(super) struct Decided {
    pub choice: Choice,
    pub settled: Settled,
}

impl Planner<'_> {
    pub async fn plan(&self, job: &Job, begun: &Begun) -> Result<ClusterPlan> {
        let store = self.repository.store();
        let stored = self.read(store, matches!(job, Job::Everything { force: true })).await?;
        let rule = match job {
            Job::Everything { force } => return self.everything(&stored, *force).await,
            Job::Rule(rule) => rule.clone(),
            Job::Target { wanted, find_full } => {
                let name = target(&stored, wanted)?;
                tracing::info!("Selecting the backup with name {name}...");
                Rule::Target { name, find_full: *find_full }
            }
        };
        let mut plan = ClusterPlan::default();
        let mut inventories = self.inventories(&stored, &mut plan).await?;
        let decided = self.decide(&rule, &stored, &mut inventories).await?;
        say_nothing_found(&decided.choice, &rule);

        let common = Common { begun, all_are_known: stored.all_are_known, age: self.age, force: self.force };
        let contents = inventories.keys().copied().collect();
        let wishes = retention::wishes(&contents, &stored.details, &decided.choice, &decided.settled, common);
        self.survey(inventories, wishes, &mut plan).await;
        plan.ids = first_ids(&stored, &decided.settled);
        self.add_root(store, &stored, decided, begun, &mut plan).await?;
        Ok(plan)
    }

    /// A sentinel that cannot be read may be that of a permanent backup, and hides which backups of the segments it names.
    async fn read(&self, store: &Store, unreadable_may_go: bool) -> Result<Stored> {
        let backups = Backups::load(store).await?;
        let reading = backups.details().await;
        let unreadable = reading.unreadable.len();
        for error in &reading.unreadable {
            tracing::error!("{error}");
        }
        if unreadable > 0 && !self.force && !unreadable_may_go {
            let what = format!(
                "{unreadable} sentinels of the cluster cannot be read, so that it is not known what must be kept: \
                 nothing is deleted"
            );
            return Err(Error::refused(what, "repair them; or add --force-delete if these backups may be lost"));
        }
        Ok(Stored { backups, details: reading.found, all_are_known: unreadable == 0 || self.force })
    }

    async fn inventories(&self, stored: &Stored, plan: &mut ClusterPlan) -> Result<BTreeMap<ContentId, Inventory>> {
        let mut contents: BTreeSet<ContentId> = self.repository.contents().await?.into_iter().collect();
        let segments = stored.details.iter().flat_map(|detail| &detail.sentinel.segments);
        contents.extend(segments.map(|segment| segment.content_id));
        let load = |content: ContentId| async move {
            (content, Inventory::load(self.repository.segment(content).store()).await)
        };
        let requests: Vec<_> = contents.into_iter().map(load).collect();
        let loaded: Vec<_> = stream::iter(requests).buffer_unordered(self.concurrency).collect().await;
        let mut inventories = BTreeMap::new();
        for (content, inventory) in loaded {
            match inventory {
                Ok(inventory) => {
                    inventories.insert(content, inventory);
                }
                Err(error) if self.force => {
                    plan.failed.insert(content, error.to_string());
                }
                Err(error) => return Err(unknown_segment(content, &error)),
            }
        }
        Ok(inventories)
    }

    /// A backup of the cluster is permanent if its sentinel says so or one of its segments does. The segments are asked about
    /// those that would go, until none of these turns out to be permanent.
    async fn decide(
        &self,
        rule: &Rule,
        stored: &Stored,
        inventories: &mut BTreeMap<ContentId, Inventory>,
    ) -> Result<Decided> {
        let chains = retention::chains(stored.backups.entries(), &stored.details);
        let mut marked = BTreeSet::new();
        loop {
            let entries = retention::entries(stored.backups.entries(), &stored.details, &marked);
            let choice = choose(rule, &entries, &chains)?;
            let settled = settle(&choice, &reason(rule, &choice), &entries, &chains);
            self.read_metadata(stored, &settled, inventories).await?;
            let found = retention::marked(&stored.details, inventories, self.force);
            if found.is_subset(&marked) {
                return Ok(Decided { choice, settled });
            }
            marked.extend(found);
        }
    }

    async fn read_metadata(
        &self,
        stored: &Stored,
        settled: &Settled,
        inventories: &mut BTreeMap<ContentId, Inventory>,
    ) -> Result<()> {
        let mut names = BTreeMap::<ContentId, BTreeSet<BackupName>>::new();
        for detail in stored.details.iter().filter(|detail| settled.gone.contains_key(&detail.name)) {
            for segment in &detail.sentinel.segments {
                names.entry(segment.content_id).or_default().insert(segment.backup_name.clone());
            }
        }
        let read = inventories.iter_mut().filter_map(|(content, inventory)| {
            let (names, store) = (names.remove(content)?, self.repository.segment(*content));
            Some(async move { inventory.read_metadata(store.store(), names).await })
        });
        let read: Vec<_> = read.collect();
        let done: Vec<_> = stream::iter(read).buffer_unordered(self.concurrency).collect().await;
        Ok(done.into_iter().collect::<Result<(), _>>()?)
    }

    async fn survey(
        &self,
        inventories: BTreeMap<ContentId, Inventory>,
        mut wishes: BTreeMap<ContentId, Wish>,
        plan: &mut ClusterPlan,
    ) {
        let work = inventories.into_iter().filter_map(|(content, mut inventory)| {
            let (wish, repository) = (wishes.remove(&content)?, self.repository.segment(content));
            Some(async move { (content, survey(repository.store(), &mut inventory, &wish).await) })
        });
        let work: Vec<_> = work.collect();
        let surveyed: Vec<_> = stream::iter(work).buffer_unordered(self.concurrency).collect().await;
        for (content, surveyed) in surveyed {
            match surveyed {
                Ok(segment) => {
                    plan.segments.insert(content, segment);
                }
                Err(error) => {
                    plan.failed.insert(content, error.to_string());
                }
            }
        }
    }

    async fn everything(&self, stored: &Stored, force: bool) -> Result<ClusterPlan> {
        let mut plan = ClusterPlan::default();
        if !force {
            let mut inventories = self.inventories(stored, &mut plan).await?;
            let all = stored.details.iter().map(|detail| (detail.name.clone(), String::new())).collect();
            let all = Settled { gone: all, ..Settled::default() };
            self.read_metadata(stored, &all, &mut inventories).await?;
            let marked = retention::marked(&stored.details, &inventories, self.force);
            let entries = retention::entries(stored.backups.entries(), &stored.details, &marked);
            let permanent = entries.into_iter().filter(|entry| entry.permanent).map(|entry| entry.name);
            refuse_permanent(&permanent.collect::<Vec<_>>())?;
        }
        plan.root = single::everything(self.repository.store(), &[layout::BASEBACKUPS, layout::DAMSON]).await?;
        for content in self.repository.contents().await? {
            let folders = [layout::BASEBACKUPS, layout::WAL];
            let segment = single::everything(self.repository.segment(content).store(), &folders).await?;
            plan.segments.insert(content, segment);
        }
        Ok(plan)
    }
}

/// It may hold a backup that is permanent.
fn unknown_segment(content: ContentId, error: &segment_agent::error::Error) -> Error {
    let what = format!("what segment {content} keeps cannot be found out, so that nothing is deleted: {error}");
    Error::refused(what, "repair its folder; or add --force-delete to leave that segment out")
}

fn target(stored: &Stored, wanted: &Wanted) -> Result<BackupName> {
    let entries = stored.backups.entries();
    let target = match wanted {
        Wanted::Latest => return Ok(select::latest(entries)?.name.clone()),
        Wanted::Named(name) => BackupTarget::Name(name.clone()),
        Wanted::WithUserData(data) => BackupTarget::UserData(data.clone()),
    };
    match target {
        BackupTarget::UserData(data) => {
            let unreadable = entries.len() - stored.details.len();
            Ok(select::by_user_data(stored.details.clone(), &data, unreadable)?.name)
        }
        BackupTarget::Name(name) => Ok(select::by_name(entries, &name)?.name.clone()),
        BackupTarget::Latest => Ok(select::latest(entries)?.name.clone()),
    }
}

fn reason(rule: &Rule, choice: &Choice) -> String {
    match (rule, choice) {
        (_, Choice::Before(name)) => format!("older than {name}"),
        (Rule::Target { name, .. }, _) => format!("goes with {name}"),
        _ => String::new(),
    }
}

/// Of the oldest backup that stays, as WAL-G names them.
fn first_ids(stored: &Stored, settled: &Settled) -> BTreeMap<ContentId, String> {
    let first = stored.details.iter().find(|detail| settled.stay.contains(&detail.name));
    let segments = first.into_iter().flat_map(|detail| &detail.sentinel.segments);
    segments.map(|segment| (segment.content_id, segment.backup_id.to_string())).collect()
}
