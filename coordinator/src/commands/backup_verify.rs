//! `backup-verify`: can the backups be restored?
//!
//! Every segment's objects are read on its primary's host, all hosts at once; what several backups share is read once. What was
//! found is stored beside the backups before the command ends.

use std::collections::{BTreeMap, BTreeSet};
use std::io::stdout;
use std::time::Instant;

use clap::{ArgAction, Args};
use coordinator::catalog::{self, BackupDetail, BackupTarget, Backups, RestorePoints, select};
use coordinator::impact::{self, Ends, SegmentDamage};
use coordinator::progress::Progress;
use formats::cluster::{RestorePoint, SegmentMetadata};
use formats::proof::{Finding, Proof, ProofKind};
use formats::wire::{LogEnd, SegmentResult, VerifiedSegment, VerifySource, Work};
use formats::{BackupName, ContentId, Timestamp, layout};
use pgdata::{SegmentSize, TimelineId};
use segment_agent::lease::{self, Lease};
use segment_agent::proofs;
use segment_agent::repository::Repository;

use super::backup_list::cannot_print;
use crate::cluster::{Cluster, Node};
use crate::error::{Error, Result};
use crate::session::Session;

/// Name of this host among the nodes of a local run.
const HERE: &str = "localhost";

/// Read everything that a backup consists of, and say whether it can be restored
///
/// On the host of every segment, every object of its backup and of those that it is based on is decrypted, decompressed and
/// walked to its end; files are compared with their hashes, pages with their checksums, shared append-optimized files with
/// theirs, and the log is followed from the backup's start to its restore point. Nothing is written but the result, which
/// `backup-list --detail` shows. Exit code 1 if anything is wrong.
#[derive(Debug, Args)]
pub struct BackupVerify {
    /// Name of the backup, or LATEST
    #[arg(required_unless_present = "all")]
    backup_name: Option<String>,
    /// Verify all backups; what several of them share is read once
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", conflicts_with = "backup_name")]
    all: bool,
    /// Read everything on this host instead of the segments' hosts: no server and no SSH is needed
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    local: bool,
    /// JSON, for programs
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    json: bool,
}

/// A backup that is verified.
struct Subject {
    detail: BackupDetail,
    /// Where the log of each segment must reach.
    ends: Ends,
    /// What is wrong with its own documents.
    findings: Vec<Finding>,
}

pub async fn run(session: &Session, arguments: BackupVerify) -> Result<()> {
    let begin = Instant::now();
    let repository = session.repository()?;
    let store = repository.store();
    let backups = Backups::load(store).await?;
    let points = RestorePoints::load(store).await?;
    let mut proofs = Vec::new();
    let mut subjects = Vec::new();
    for name in names(&backups, &arguments)? {
        match backups.detail(&name).await {
            Ok(detail) => subjects.push(subject(detail, &points).await?),
            Err(error @ catalog::Error::Document(_)) => {
                let object = layout::sentinel_key(&name);
                let finding = Finding { object, problem: error.to_string() };
                proofs.push(proof(&name, vec![finding], begin));
            }
            Err(error) => return Err(error.into()),
        }
    }
    // What is being read is not deleted meanwhile.
    let lease = Lease::read(store, "verifying backups", lease::term(&session.settings)?).await;
    let verified = verify_segments(session, &subjects, arguments.local).await;
    if let Some(lease) = lease {
        lease.release().await;
    }
    let verified = verified?;
    let everything = Everything {
        backups: backups.details().await.found,
        points: points.documents().await.found,
        damage: damage(&verified),
    };
    proofs.extend(subjects.iter().map(|subject| everything.judge(subject, &verified, begin)));
    remember(&repository, &proofs).await;
    let printed = match arguments.json {
        true => segment_agent::listing::json::write_line(&proofs, &mut stdout().lock()),
        false => segment_agent::listing::proofs(&proofs, &mut stdout().lock()),
    };
    printed.map_err(cannot_print)?;
    refuse_damage(&proofs)
}

fn names(backups: &Backups, arguments: &BackupVerify) -> Result<Vec<BackupName>> {
    let Some(text) = &arguments.backup_name else {
        return Ok(backups.entries().iter().map(|backup| backup.name.clone()).collect());
    };
    Ok(vec![match BackupTarget::from_arguments(Some(text), None)? {
        Some(BackupTarget::Name(name)) => name,
        _ => select::latest(backups.entries())?.name.clone(),
    }])
}

/// Reads the backup's restore point, for the log must reach it.
async fn subject(detail: BackupDetail, points: &RestorePoints) -> Result<Subject> {
    let point = detail.sentinel.restore_point.clone().unwrap_or_else(|| detail.name.to_string());
    let mut findings = Vec::new();
    let found: Option<RestorePoint> = match points.document(&point).await {
        Ok(document) => Some(document),
        Err(catalog::Error::Storage(error)) => return Err(error.into()),
        Err(error) => {
            findings.push(Finding { object: layout::restore_point_key(&point), problem: error.to_string() });
            None
        }
    };
    let ends = found.as_ref().map_or_else(|| own_ends(&detail), impact::ends_of);
    let without = detail.sentinel.segments.iter().find(|segment| !ends.contains_key(&segment.content_id));
    if let (Some(segment), Some(_)) = (without, found) {
        let problem = format!("it has no position for content {}", segment.content_id);
        findings.push(Finding { object: layout::restore_point_key(&point), problem });
    }
    if detail.sentinel.segments.is_empty() {
        let (object, problem) = (layout::sentinel_key(&detail.name), "it lists no segments".to_owned());
        findings.push(Finding { object, problem });
    }
    Ok(Subject { detail, ends, findings })
}

/// What the sentinel itself says of the restore point.
fn own_ends(detail: &BackupDetail) -> Ends {
    let end = |segment: &SegmentMetadata| {
        let timeline =
            segment.backup_name.wal_file_name().and_then(|name| u32::from_str_radix(name.get(..8)?, 16).ok())?;
        Some((segment.content_id, (TimelineId(timeline), segment.restore_point_lsn?)))
    };
    detail.sentinel.segments.iter().filter_map(end).collect()
}

/// Results by content id.
type Verified = BTreeMap<ContentId, VerifiedSegment>;

async fn verify_segments(session: &Session, subjects: &[Subject], local: bool) -> Result<Verified> {
    let mut sources = BTreeMap::<ContentId, Vec<VerifySource>>::new();
    for subject in subjects {
        for segment in &subject.detail.sentinel.segments {
            let until =
                subject.ends.get(&segment.content_id).map(|(timeline, lsn)| LogEnd { timeline: *timeline, lsn: *lsn });
            let source = VerifySource { backup: segment.backup_name.clone(), until };
            sources.entry(segment.content_id).or_default().push(source);
        }
    }
    if sources.is_empty() {
        return Ok(Verified::new());
    }
    let nodes = nodes(session, subjects, local).await;
    let coordinator = nodes.iter().find(|node| node.is_coordinator()).map_or(HERE, |node| node.hostname.as_str());
    let work = |nodes: &[&Node]| Work::Verify {
        sources: nodes.iter().map(|node| sources.get(&node.content).cloned().unwrap_or_default()).collect(),
    };
    let jobs = session.jobs_beside(&nodes, coordinator, work)?;
    let mut progress = Progress::new("verifying");
    let outcome = session.run(jobs, |host, entry| progress.observe(host, entry)).await;
    progress.finish();
    let verdict = outcome?;
    let verified = verdict.results().into_iter().filter_map(|(content, result)| match result {
        SegmentResult::Verified(verified) => Some((content, verified.clone())),
        _ => None,
    });
    Ok(verified.collect())
}

/// Where each segment is read: on its host in the running cluster; where no server can be asked, on the host of the backup.
async fn nodes(session: &Session, subjects: &[Subject], local: bool) -> Vec<Node> {
    let mut nodes = BTreeMap::new();
    for segment in subjects.iter().flat_map(|subject| &subject.detail.sentinel.segments) {
        let hostname = if local { HERE.to_owned() } else { segment.hostname.clone() };
        let node = Node {
            db_id: segment.db_id,
            content: segment.content_id,
            hostname,
            port: segment.port,
            data_dir: segment.data_dir.clone().into(),
        };
        nodes.insert(segment.content_id, node);
    }
    if !local {
        match Cluster::discover(&session.settings).await {
            Ok(cluster) => {
                for node in cluster.nodes {
                    nodes.entry(node.content).and_modify(|place| *place = node);
                }
            }
            Err(error) => tracing::info!("the hosts are those of the backup, for the cluster cannot be asked: {error}"),
        }
    }
    nodes.into_values().collect()
}

fn damage(verified: &Verified) -> Vec<SegmentDamage<'_>> {
    let mut damage = Vec::new();
    for (content, verified) in verified {
        let segment_size = verified.wal_segment_bytes.and_then(|bytes| SegmentSize::new(bytes).ok());
        damage.push(SegmentDamage { content: *content, findings: &verified.findings, segment_size });
    }
    damage
}

/// All backups and restore points, for damage reaches beyond what was verified.
struct Everything<'a> {
    backups: Vec<BackupDetail>,
    points: Vec<RestorePoint>,
    damage: Vec<SegmentDamage<'a>>,
}

impl Everything<'_> {
    fn judge(&self, subject: &Subject, verified: &Verified, begin: Instant) -> Proof {
        let sentinel = &subject.detail.sentinel;
        let found = impact::findings_of(sentinel, &subject.ends, &self.damage);
        let rooted = |(content, finding): &(ContentId, &formats::wire::SegmentFinding)| Finding {
            object: format!("{}/{}", layout::segment_prefix(*content), finding.object),
            problem: finding.problem.clone(),
        };
        let mut findings = subject.findings.clone();
        findings.extend(found.iter().map(rooted));
        let mut proof = proof(&subject.detail.name, findings, begin);
        for segment in &sentinel.segments {
            let Some(verified) = verified.get(&segment.content_id) else { continue };
            proof.more_findings += if proof.ok { 0 } else { verified.more_findings };
            for source in verified.sources.iter().filter(|source| source.backup == segment.backup_name) {
                proof.bytes += source.bytes;
                proof.objects += source.objects;
            }
        }
        if !proof.ok {
            self.add_impact(&mut proof, subject);
        }
        proof
    }

    /// What the damage of this backup means for the others.
    fn add_impact(&self, proof: &mut Proof, subject: &Subject) {
        let own: BTreeSet<_> = impact::findings_of(&subject.detail.sentinel, &subject.ends, &self.damage)
            .into_iter()
            .map(|(content, finding)| (content, finding.object.as_str()))
            .collect();
        let ends = |backup: &BackupDetail| {
            let point = backup.sentinel.restore_point.as_deref().unwrap_or(backup.name.as_str());
            self.points.iter().find(|document| document.name == point).map_or_else(|| own_ends(backup), impact::ends_of)
        };
        let shares = |backup: &&BackupDetail| {
            let found = impact::findings_of(&backup.sentinel, &ends(backup), &self.damage);
            found.iter().any(|(content, finding)| own.contains(&(*content, finding.object.as_str())))
        };
        let mut affected: BTreeSet<_> = self.backups.iter().filter(shares).map(|backup| backup.name.clone()).collect();
        affected.insert(subject.detail.name.clone());
        proof.affected_backups = affected.into_iter().collect();
        let sentinels: Vec<_> = self.backups.iter().map(|backup| backup.sentinel.clone()).collect();
        proof.affected_restore_points = impact::points_out_of_reach(&self.points, &sentinels, &self.damage);
    }
}

fn proof(name: &BackupName, findings: Vec<Finding>, begin: Instant) -> Proof {
    Proof {
        backup: name.clone(),
        kind: ProofKind::Verify,
        at: Timestamp::from(chrono::Utc::now()),
        ok: findings.is_empty(),
        duration_seconds: begin.elapsed().as_secs_f64(),
        bytes: 0,
        objects: 0,
        affected_backups: if findings.is_empty() { Vec::new() } else { vec![name.clone()] },
        findings,
        more_findings: 0,
        affected_restore_points: Vec::new(),
    }
}

async fn remember(repository: &Repository, proofs: &[Proof]) {
    for proof in proofs {
        if let Err(error) = proofs::remember(repository, proof.clone()).await {
            tracing::warn!("the result cannot be stored, so that backup-list will not show it: {error}");
        }
    }
}

fn refuse_damage(proofs: &[Proof]) -> Result<()> {
    let damaged: Vec<_> = proofs.iter().filter(|proof| !proof.ok).map(|proof| proof.backup.as_str()).collect();
    if damaged.is_empty() {
        return Ok(());
    }
    let what = format!("{} of {} backups are damaged: {}", damaged.len(), proofs.len(), damaged.join(", "));
    Err(Error::refused(what, "restore the objects named above from a copy of the storage, or make a full backup now"))
}
