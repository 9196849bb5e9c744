//! The chain of a backup, from its delta down to the full backup it rests on: read, planned and checked before anything is
//! written.

use std::collections::{BTreeMap, BTreeSet};

use formats::segment::SegmentSentinel;
use formats::selection::{Selection, Selector};
use formats::{BackupName, TablespaceSpec, layout};
use storage::ObjectInfo;
use tokio_util::sync::CancellationToken;

use super::documents::Documents;
use super::extract::{Job, Level};
use super::plan::{FileList, LevelPlan, Planner, SharedWant, Stored, Want, is_last_archive};
use super::proofs::{Proofs, archive_name, rooted};
use super::{FetchRequest, places};
use crate::bridge::Driver;
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::repository::Repository;

/// What a restore will read.
pub struct FetchPlan {
    /// Oldest first.
    pub levels: Vec<Level>,
    /// Of each level, in any order.
    pub jobs: Vec<Vec<Job>>,
    /// Objects that come after all others, in this order.
    pub last_jobs: Vec<Job>,
    /// All shared files, of every level.
    pub shared: Vec<SharedWant>,
    pub tablespaces: TablespaceSpec,
    pub total_bytes: u64,
}

/// Reads the metadata of the backup and of all below it, and checks that every object is there.
pub async fn plan(
    repository: &Repository,
    request: &FetchRequest,
    driver: &Driver,
    monitor: &Monitor,
    cancel: &CancellationToken,
) -> Result<FetchPlan> {
    let mut reader = ChainReader { repository, request, driver, cancel, seen: BTreeSet::new() };
    let newest = reader.read(&request.backup).await?;
    let selection = match request.only.is_empty() {
        true => None,
        false => Some(select(&reader, &newest, &request.only, monitor).await?),
    };
    let chosen = |path: &str| selection.as_ref().is_none_or(|selection| selection.keeps(path));
    let tablespaces = places::resolve(&request.tablespaces, newest.sentinel.tablespaces.clone())?;
    let mut planner = Planner::new(&chosen);
    let (mut levels, mut last_archives, mut total_bytes) = (Vec::new(), Vec::new(), 0);
    let mut next = Some(newest);
    while let Some(mut link) = next {
        let base = base_of(&link)?;
        let is_newest = levels.is_empty();
        let plan = planner.add(link.stored(base.is_some()))?;
        link.check_objects(&plan, is_newest)?;
        total_bytes += u64::try_from(link.sentinel.uncompressed_size).unwrap_or(0);
        if is_newest {
            last_archives = link.last_archives()?;
        }
        levels.push(level(plan, link, is_newest));
        next = match base {
            Some(base) => Some(reader.read(&base).await?),
            None => None,
        };
    }
    levels.reverse();
    Ok(assemble(levels, last_archives, tablespaces, total_bytes))
}

fn assemble(
    levels: Vec<(Level, Vec<String>, Vec<SharedWant>, bool)>,
    last_archives: Vec<String>,
    tablespaces: TablespaceSpec,
    total_bytes: u64,
) -> FetchPlan {
    let newest = levels.len().saturating_sub(1);
    let last = |name| Job::Archive { level: newest, name, everything: true };
    let mut plan = FetchPlan {
        levels: Vec::new(),
        jobs: Vec::new(),
        last_jobs: last_archives.into_iter().map(last).collect(),
        shared: Vec::new(),
        tablespaces,
        total_bytes,
    };
    for (at, (level, archives, shared, everything)) in levels.into_iter().enumerate() {
        let archives = archives.into_iter().map(|name| Job::Archive { level: at, name, everything });
        plan.jobs.push(shared.iter().cloned().map(Job::Shared).chain(archives).collect());
        plan.total_bytes += shared.iter().map(|want| want.shared.size.unwrap_or(want.shared.eof)).sum::<u64>();
        plan.shared.extend(shared);
        plan.levels.push(level);
    }
    plan
}

/// A level with its archives and shared files, and whether members that no list has are restored too.
fn level(plan: LevelPlan, link: Link, is_newest: bool) -> (Level, Vec<String>, Vec<SharedWant>, bool) {
    let LevelPlan { backup, archives, shared, mut wants, everything } = plan;
    let mut proofs = link.proofs;
    if is_newest {
        let one = || Want { last: true, ..Want::default() };
        wants.insert(rooted("global/pg_control"), one());
        if link.objects.keys().any(|name| name.starts_with(&format!("tar_partitions/{}", layout::LABEL_TAR))) {
            wants.insert(rooted("backup_label"), one());
        }
        let in_last = |proofs: &Proofs| {
            let files = proofs.files.iter();
            let last = files.filter(|(_, proof)| is_last_archive(archive_name(proofs.object_name(proof))));
            last.map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        let names = proofs.as_ref().map(in_last).unwrap_or_default();
        wants.extend(names.into_iter().map(|name| (name, one())));
    }
    if let Some(proofs) = proofs.as_mut().filter(|_| !everything) {
        proofs.files.retain(|name, _| wants.contains_key(name));
    }
    (Level { backup, wants, proofs }, archives, shared, everything)
}

async fn select(reader: &ChainReader<'_>, link: &Link, only: &[Selector], monitor: &Monitor) -> Result<Selection> {
    let names = reader.documents(&link.backup).names(link.proofs.as_ref()).await?;
    if names.is_empty() {
        let what = format!("{} holds no names of databases and tables, which --restore-only needs", link.backup);
        let remedy = "restore the whole backup; backups keep names unless WALG_DISABLE_PARTIAL_RESTORE or WALG_WITHOUT_FILES_METADATA is set";
        return Err(Error::refused(what, remedy));
    }
    let selection = Selection::resolve(only, &names).map_err(|error| {
        let remedy = "write db, db/table, db/schema.table or db/schema/table; * stands for any characters, all else is taken literally";
        Error::refused(error.to_string(), remedy)
    })?;
    if !selection.tables.is_empty() && link.proofs.is_none() {
        monitor.warn(format!(
            "{} was written by WAL-G, which does not record the indexes of a table: run REINDEX TABLE on {} after recovery",
            link.backup,
            selection.tables.join(", ")
        ));
    }
    Ok(selection)
}

/// Reads one backup after the other.
struct ChainReader<'a> {
    repository: &'a Repository,
    request: &'a FetchRequest,
    driver: &'a Driver,
    cancel: &'a CancellationToken,
    seen: BTreeSet<BackupName>,
}

/// One backup of the chain as it is stored.
struct Link {
    backup: BackupName,
    sentinel: SegmentSentinel,
    /// By key inside the backup's folder.
    objects: BTreeMap<String, ObjectInfo>,
    proofs: Option<Proofs>,
    files: Option<FileList>,
    shared: BTreeMap<Box<str>, super::shared::Shared>,
}

impl ChainReader<'_> {
    fn documents<'b>(&'b self, backup: &'b BackupName) -> Documents<'b> {
        Documents { repository: self.repository, backup, driver: self.driver, cancel: self.cancel }
    }

    async fn read(&mut self, backup: &BackupName) -> Result<Link> {
        if !self.seen.insert(backup.clone()) {
            let why = "the backup is based on itself, over others or directly";
            return Err(Error::damaged(layout::sentinel_key(backup), why));
        }
        let is_newest = self.seen.len() == 1;
        let sentinel: Option<SegmentSentinel> = self.repository.find_json(&layout::sentinel_key(backup)).await?;
        let sentinel = sentinel.ok_or_else(|| self.unknown(backup, is_newest))?;
        let is_delta = delta_base(&sentinel, backup)?.is_some();
        let objects = self.objects(backup).await?;
        let documents = self.documents(backup);
        let proofs = documents.proofs(&objects).await?;
        let listed = match sentinel.files_metadata_disabled {
            true => None,
            false => documents.file_list(proofs.as_ref()).await?,
        };
        let legacy = || (!sentinel.legacy_files.is_empty()).then(|| FileList::of_legacy(&sentinel));
        let files = listed.or_else(legacy);
        let must_have = is_delta || (!is_newest && !sentinel.files_metadata_disabled);
        if files.is_none() && must_have {
            let why = "it is missing, and without it the files of a delta cannot be put together";
            return Err(Error::damaged(layout::files_metadata_key(backup), why));
        }
        let shared = documents.shared_files(proofs.as_ref(), self.request.of_cluster).await?;
        Ok(Link { backup: backup.clone(), sentinel, objects, proofs, files, shared })
    }

    fn unknown(&self, backup: &BackupName, is_newest: bool) -> Error {
        let storage = self.repository.store().describe();
        if is_newest {
            let what = format!("Backup '{backup}' does not exist in {storage}");
            return Error::refused(what, "list the backups with backup-list; check the storage prefix in the settings");
        }
        let what = format!(
            "{} is a delta, and backup {backup}, on which it rests, does not exist in {storage}",
            self.request.backup
        );
        Error::refused(
            what,
            "the delta cannot be restored without it: choose another backup, or bring it back from a copy of the storage",
        )
    }

    /// Objects in the backup's folder, by their key inside it.
    async fn objects(&self, backup: &BackupName) -> Result<BTreeMap<String, ObjectInfo>> {
        let folder = layout::backup_folder(backup);
        let objects = self.repository.store().list(&folder).await?;
        let named = objects.into_iter().filter_map(|object| {
            let name = object.key.strip_prefix(&folder)?.trim_start_matches('/').to_owned();
            Some((name, object))
        });
        Ok(named.collect())
    }
}

fn base_of(link: &Link) -> Result<Option<BackupName>> {
    delta_base(&link.sentinel, &link.backup)
}

/// The backup that a delta is based on. A catchup has an empty name there, and is whole.
fn delta_base(sentinel: &SegmentSentinel, backup: &BackupName) -> Result<Option<BackupName>> {
    if sentinel.delta_from.as_ref().is_some_and(String::is_empty) {
        return Ok(None);
    }
    let base = sentinel.delta_base().map_err(|error| Error::damaged(layout::sentinel_key(backup), error))?;
    Ok(base.map(|base| base.from))
}

impl Link {
    /// Hands over what the plan is made from.
    fn stored(&mut self, is_delta: bool) -> Stored {
        let archives = self.objects.iter().filter_map(|(name, object)| {
            let file_name = name.strip_prefix("tar_partitions/").filter(|name| name.contains(".tar"))?;
            Some((file_name.to_owned(), object.size))
        });
        let files = self.files.take();
        let promised = match (&files, &self.proofs) {
            (None, Some(proofs)) => proofs.files.keys().cloned().collect(),
            _ => Vec::new(),
        };
        Stored {
            backup: self.backup.clone(),
            is_delta,
            files,
            shared: std::mem::take(&mut self.shared),
            archives: archives.collect(),
            promised,
        }
    }

    /// Of what the manifest promises, all that will be read must be there in full length.
    fn check_objects(&self, plan: &LevelPlan, is_newest: bool) -> Result<()> {
        let Some(proofs) = &self.proofs else { return Ok(()) };
        let needed: BTreeSet<&str> = plan.archives.iter().map(String::as_str).collect();
        let is_needed = |name: &str| match name.strip_prefix("tar_partitions/") {
            None => true,
            Some(name) => plan.everything || needed.contains(name) || (is_newest && is_last_archive(name)),
        };
        for (name, proof) in proofs.objects.iter().filter(|(name, _)| is_needed(name)) {
            let found = self.objects.get(&**name).map(|object| object.size);
            if found != Some(proof.bytes) {
                let is = found.map_or("it is missing".to_owned(), |bytes| format!("it has {bytes} bytes"));
                let why = format!("the manifest promises {} bytes, but {is}", proof.bytes);
                return Err(Error::damaged(format!("{}/{name}", layout::backup_folder(&self.backup)), why));
            }
        }
        Ok(())
    }

    /// The archive of the label, if there is one, and that of the control file.
    fn last_archives(&self) -> Result<Vec<String>> {
        let find = |start: &str| {
            let names = self.objects.keys().filter_map(|name| name.strip_prefix("tar_partitions/"));
            names.into_iter().find(|name| name.starts_with(start)).map(str::to_owned)
        };
        let Some(control) = find(layout::CONTROL_TAR) else {
            let why = "the archive with the control file is missing";
            return Err(Error::damaged(layout::part_key(&self.backup, layout::CONTROL_TAR), why));
        };
        Ok(find(layout::LABEL_TAR).into_iter().chain([control]).collect())
    }
}
