//! Proving that backups of one repository can be restored, without restoring them.
//!
//! Every object that a restore would read is read once, by several workers, into nothing: documents are held against each
//! other; archives are decrypted, decompressed and walked to their end, their files hashed against the manifest and their pages
//! against their checksums; shared files are hashed across their increments; every file that a backup lists must be given by
//! exactly one object of it or by its base; and the log must be whole from the backup's start to its restore point.
//!
//! Damage is a finding and never ends the run. An error means that nothing can be said: the storage cannot be reached, the
//! key is another one, or the run was cancelled.

mod affected;
mod archive;
mod facts;
mod findings;
mod log;
mod pages;
mod shared;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use formats::wire::{SegmentFinding, VerifiedSegment, VerifiedSource, VerifySource};
use formats::{BackupName, layout};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::facts::Facts;
use self::findings::Findings;
use crate::bridge::{Driver, ObjectSource, joined, on_worker};
use crate::error::{Result, keep_first};
use crate::monitor::Monitor;
use crate::pool::Pool;
use crate::repository::Repository;

/// Bytes that are decoded at once.
const BUFFER_BYTES: usize = 256 << 10;

/// Longer chains are not made by anybody.
const LONGEST_CHAIN: usize = 10_000;

/// What the workers of one run share.
struct Verification {
    repository: Repository,
    /// Segments of a cluster always have a list of append-optimized files.
    of_cluster: bool,
    driver: Driver,
    cancel: CancellationToken,
    monitor: Monitor,
    findings: Findings,
    /// Stored bytes by key, of what was read.
    read: Mutex<BTreeMap<String, u64>>,
}

/// One object, or tree of objects, to be read by a worker.
enum Job {
    Archive(Arc<Facts>, String),
    Shared(usize),
    Log(String),
}

/// Verifies `sources`, all of `repository`. What several of them need is read once.
pub async fn verify(
    repository: &Repository,
    sources: &[VerifySource],
    of_cluster: bool,
    pool: &Pool,
    monitor: &Monitor,
    cancel: &CancellationToken,
) -> Result<VerifiedSegment> {
    let run = Arc::new(Verification {
        repository: repository.clone(),
        of_cluster,
        driver: Driver::current(repository.store()),
        cancel: cancel.child_token(),
        monitor: monitor.clone(),
        findings: Findings::default(),
        read: Mutex::default(),
    });
    monitor.phase("reading the backups' metadata");
    let chains = read_chains(&run, sources).await?;
    let mut plan = shared::Plan::default();
    for facts in in_order(&chains) {
        plan.add(facts, facts.base.as_ref().and_then(|base| chains.get(base)).map(Arc::as_ref), &run);
    }
    let plan = Arc::new(plan);
    let archives = |facts: &Arc<Facts>| facts.archives.iter().map(|(_, bytes)| bytes).sum::<u64>();
    monitor.set_total(chains.values().map(archives).sum::<u64>() + plan.bytes());
    // The control files tell the size of pages and whether they have checksums, so they come first.
    monitor.phase("reading archives and shared files");
    let mut controls = VecDeque::new();
    let mut others = VecDeque::new();
    for facts in chains.values() {
        for (name, _) in &facts.archives {
            let jobs = if name.starts_with(layout::CONTROL_TAR) { &mut controls } else { &mut others };
            jobs.push_back(Job::Archive(facts.clone(), name.clone()));
        }
    }
    others.extend(plan.roots.iter().map(|root| Job::Shared(*root)));
    let none = Arc::new(log::Segments::new());
    run_jobs(&run, &plan, &none, controls, pool).await?;
    run_jobs(&run, &plan, &none, others, pool).await?;

    let segments = Arc::new(log_segments(&run, &chains, sources).await?);
    monitor.phase(format!("reading {} files of the log", segments.len()));
    let jobs = segments.keys().cloned().map(Job::Log).collect();
    run_jobs(&run, &plan, &segments, jobs, pool).await?;
    monitor.flush();
    run.findings.refuse_wrong_key()?;
    in_order(&chains).into_iter().for_each(|facts| note_missing_files(&run, facts, &chains));
    report(&run, sources, &chains, &plan, &segments).await
}

type Chains = BTreeMap<BackupName, Arc<Facts>>;

/// The backups of all chains.
async fn read_chains(run: &Arc<Verification>, sources: &[VerifySource]) -> Result<Chains> {
    let mut chains = Chains::new();
    for source in sources {
        let mut next = Some(source.backup.clone());
        for _ in 0..LONGEST_CHAIN {
            let Some(name) = next.filter(|name| !chains.contains_key(name)) else { break };
            let Some(facts) = facts::read(run, &name).await? else { break };
            next = facts.base.clone();
            chains.insert(name, Arc::new(facts));
        }
    }
    for facts in chains.values() {
        let Some(base) = facts.base.as_ref().and_then(|base| chains.get(base)) else { continue };
        let delta_lsn = facts.sentinel.delta_lsn.or(facts.sentinel.legacy_delta_lsn);
        if delta_lsn != base.sentinel.start_lsn {
            let why = format!("it is a delta of {}, but from another start than that backup's", base.name);
            run.findings.add(&layout::sentinel_key(&facts.name), why);
        }
    }
    Ok(chains)
}

/// Every backup after its base. A base that could not be read, or a circle, does not keep a backup back.
fn in_order(chains: &Chains) -> Vec<&Arc<Facts>> {
    let (mut ordered, mut done) = (Vec::new(), BTreeSet::new());
    for facts in chains.values() {
        let mut path = Vec::new();
        let mut next = Some(facts);
        while let Some(facts) = next.filter(|facts| done.insert(&facts.name)) {
            path.push(facts);
            next = facts.base.as_ref().and_then(|base| chains.get(base));
        }
        ordered.extend(path.into_iter().rev());
    }
    ordered
}

async fn log_segments(run: &Arc<Verification>, chains: &Chains, sources: &[VerifySource]) -> Result<log::Segments> {
    let wanted: Vec<_> =
        sources.iter().filter_map(|source| Some((chains.get(&source.backup)?.clone(), source.until))).collect();
    let run = run.clone();
    on_worker(move || {
        let mut segments = log::Segments::new();
        for (facts, until) in wanted {
            log::add(&run, &facts, until, &mut segments)?;
        }
        Ok(segments)
    })
    .await
}

/// Runs `jobs` on the workers. The first failure stops the others.
async fn run_jobs(
    run: &Arc<Verification>,
    plan: &Arc<shared::Plan>,
    segments: &Arc<log::Segments>,
    jobs: VecDeque<Job>,
    pool: &Pool,
) -> Result<()> {
    let workers = pool.workers().min(jobs.len());
    let jobs = Arc::new(Mutex::new(jobs));
    let mut running = JoinSet::new();
    for _ in 0..workers {
        let (run, plan, segments) = (run.clone(), plan.clone(), segments.clone());
        let (jobs, pool) = (jobs.clone(), pool.clone());
        running.spawn_blocking(move || {
            let mut buffer = vec![0; BUFFER_BYTES];
            loop {
                let _permit = pool.acquire(&run.cancel)?;
                let Some(job) = jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front() else { return Ok(()) };
                match job {
                    Job::Archive(facts, name) => archive::check(&run, &facts, &name, &mut buffer)?,
                    Job::Shared(root) => plan.check(&run, root, &mut buffer)?,
                    Job::Log(name) => {
                        let Some(segment) = segments.get(&name) else { continue };
                        log::check(&run, &name, segment, &mut buffer)?;
                    }
                }
            }
        });
    }
    let mut failure = None;
    while let Some(outcome) = running.join_next().await {
        if let Err(error) = joined(outcome) {
            run.cancel.cancel();
            keep_first(&mut failure, error);
        }
    }
    failure.map_or(Ok(()), Err)
}

/// Every listed file must have been given by an object of the backup, or be listed by its base. Where an archive could not be
/// read to its end, that is what is told.
fn note_missing_files(run: &Verification, facts: &Facts, chains: &Chains) {
    let Some(files) = &facts.files else { return };
    let key = layout::files_metadata_key(&facts.name);
    let base = facts.base.as_ref().and_then(|base| chains.get(base));
    let listed_below = |path: &str| match base.and_then(|base| base.files.as_ref()) {
        Some(files) => files.lock().unwrap_or_else(PoisonError::into_inner).contains_key(path),
        None => base.is_some(),
    };
    let unread = facts.archives.iter().any(|(name, _)| run.findings.has(&layout::part_key(&facts.name, name)));
    let files = files.lock().unwrap_or_else(PoisonError::into_inner);
    for (path, state) in files.iter() {
        if (state.is_skipped || state.is_incremented) && !listed_below(path) {
            run.findings.add(&key, format!("file {path} goes on from a base that does not have it"));
        }
        if !state.is_skipped && state.given == 0 && !unread && !run.findings.has(&key) {
            run.findings.add(&key, format!("no object of the backup holds file {path}, which is listed"));
        }
    }
    let Some(proofs) = &facts.proofs else { return };
    for (path, proof) in proofs.files.iter().filter(|_| !unread) {
        let given = files.get(path).is_none_or(|state| state.given > 0);
        if !given {
            let key = format!("{}/{}", layout::backup_folder(&facts.name), proofs.object_name(proof));
            run.findings.add(&key, format!("it does not hold file {path}, as the manifest says"));
        }
    }
}

async fn report(
    run: &Verification,
    sources: &[VerifySource],
    chains: &Chains,
    plan: &shared::Plan,
    segments: &log::Segments,
) -> Result<VerifiedSegment> {
    let (by_object, more_findings) = run.findings.take();
    let is_shared = |key: &String| key.contains("/aosegments/") || key.contains("/paxfiles/");
    let backups = match by_object.is_empty() {
        true => affected::Backups::default(),
        false => affected::Backups::read(&run.repository, by_object.keys().any(is_shared)).await?,
    };
    let mut findings = Vec::new();
    for (object, problems) in by_object {
        let mut needing = backups.that_need(&object);
        let log_name = object.strip_prefix("wal_005/").and_then(|name| name.get(..24));
        if let Some(segment) = log_name.and_then(|name| segments.get(name)) {
            needing.extend(segment.needed_by.iter().cloned());
        }
        // A sentinel that is missing is in no list.
        needing.extend(sources.iter().map(|s| &s.backup).filter(|name| object == layout::sentinel_key(name)).cloned());
        let backups: Vec<_> = needing.into_iter().collect();
        findings.extend(problems.into_iter().map(|problem| {
            let (object, backups) = (object.clone(), backups.clone());
            SegmentFinding { object, problem, backups }
        }));
    }
    let read = run.read.lock().unwrap_or_else(PoisonError::into_inner);
    let summary = |source: &VerifySource| summary(source, chains, plan, segments, &read);
    let control = chains.values().find_map(|facts| facts.control.get());
    Ok(VerifiedSegment {
        sources: sources.iter().map(summary).collect(),
        findings,
        more_findings,
        wal_segment_bytes: control.map(|control| control.wal_segment_size.bytes()),
    })
}

/// What a backup and everything that it depends on amounts to.
fn summary(
    source: &VerifySource,
    chains: &Chains,
    plan: &shared::Plan,
    segments: &log::Segments,
    read: &BTreeMap<String, u64>,
) -> VerifiedSource {
    let mut summary = VerifiedSource { backup: source.backup.clone(), objects: 0, bytes: 0, has_manifests: true };
    let mut count = |bytes: u64, objects: u64| {
        summary.bytes += bytes;
        summary.objects += objects;
    };
    let mut next = chains.get(&source.backup);
    let mut seen = BTreeSet::new();
    let mut has_manifests = next.is_some();
    while let Some(facts) = next.filter(|facts| seen.insert(&facts.name)) {
        has_manifests &= facts.proofs.is_some();
        count(facts.documents.0, facts.documents.1);
        for (name, _) in &facts.archives {
            read.get(&layout::part_key(&facts.name, name)).into_iter().for_each(|bytes| count(*bytes, 1));
        }
        next = facts.base.as_ref().and_then(|base| chains.get(base));
    }
    plan.keys_of(&source.backup).into_iter().filter_map(|key| read.get(key)).for_each(|bytes| count(*bytes, 1));
    for (name, _) in segments.iter().filter(|(_, segment)| segment.needed_by.contains(&source.backup)) {
        let prefix = layout::wal_key(name, "");
        let stored = read.range(prefix.clone()..).next().filter(|(key, _)| key.starts_with(&prefix));
        stored.into_iter().for_each(|(_, bytes)| count(*bytes, 1));
    }
    summary.has_manifests = has_manifests;
    summary
}

impl Verification {
    /// Counts the stored bytes that are read of `key`.
    fn metered<'a>(&'a self, key: &'a str, source: ObjectSource) -> Metered<'a> {
        Metered { run: self, key, source, bytes: 0 }
    }
}

struct Metered<'a> {
    run: &'a Verification,
    key: &'a str,
    source: ObjectSource,
    bytes: u64,
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.bytes += count as u64;
        self.run.monitor.add_done(count as u64);
        Ok(count)
    }
}

impl Drop for Metered<'_> {
    fn drop(&mut self) {
        let mut read = self.run.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.insert(self.key.to_owned(), self.bytes);
    }
}
