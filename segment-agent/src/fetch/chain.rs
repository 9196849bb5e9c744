//! The chain of a backup, from its delta down to the full backup it rests on: read, planned and checked before anything is
//! written.

use std::collections::BTreeSet;

use formats::selection::{Selection, Selector};
use formats::{TablespaceSpec, layout};
use tokio_util::sync::CancellationToken;

use super::extract::{Job, Level};
use super::link::{ChainReader, Link, delta_base};
use super::plan::{LevelPlan, Planner, SharedWant, Want, is_last_archive};
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
        let base = delta_base(&link.sentinel, &link.backup)?;
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
