//! `backup-verify` of a single server, or of one segment.

use std::io::stdout;
use std::time::Instant;

use clap::{ArgAction, Args};
use formats::proof::{Finding, Proof, ProofKind};
use formats::wire::{VerifiedSegment, VerifySource};
use formats::{BackupName, ContentId, Timestamp};
use settings::Settings;
use tokio_util::sync::CancellationToken;

use super::form::printed;
use crate::backups::{self, Wanted};
use crate::error::{Error, Result};
use crate::lease::{self, Lease};
use crate::listing;
use crate::monitor::Monitor;
use crate::proofs;
use crate::repository::Repository;
use crate::verify::verify;
use crate::work::fetch_pool;

/// Read everything that a backup consists of, and say whether it can be restored
///
/// Every object of the backup and of those that it is based on is decrypted, decompressed and walked to its end; files are
/// compared with their hashes, pages with their checksums, and the log is followed from the backup's start to its end. Nothing
/// is written but the result, which `backup-list --detail` shows. Exit code 1 if anything is wrong.
#[derive(Debug, Args)]
pub struct BackupVerify {
    /// Name of the backup, or LATEST
    #[arg(required_unless_present = "all")]
    backup_name: Option<String>,
    /// Verify all backups; what several of them share is read once
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", conflicts_with = "backup_name")]
    all: bool,
    /// JSON, for programs
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    json: bool,
}

pub async fn backup_verify(
    settings: &Settings,
    repository: &Repository,
    of_cluster: bool,
    arguments: &BackupVerify,
    cancel: &CancellationToken,
) -> Result<()> {
    let begin = Instant::now();
    let names = names(repository, arguments).await?;
    let sources: Vec<_> = names.into_iter().map(|backup| VerifySource { backup, until: None }).collect();
    let monitor = Monitor::new(ContentId::COORDINATOR, std::sync::Arc::new(|_| {}));
    let pool = fetch_pool(settings, repository)?;
    // Of the whole storage: what is being read is not deleted meanwhile.
    let root = Repository::open(settings)?;
    let lease = Lease::read(root.store(), "verifying backups", lease::term(settings)?).await;
    let verified = verify(repository, &sources, of_cluster, &pool, &monitor, cancel).await;
    if let Some(lease) = lease {
        lease.release().await;
    }
    let verified = verified?;
    let proofs = proofs_of(&verified, begin.elapsed().as_secs_f64());
    for proof in &proofs {
        if let Err(error) = proofs::remember(repository, proof.clone()).await {
            tracing::warn!("the result cannot be stored, so that backup-list will not show it: {error}");
        }
    }
    if arguments.json {
        printed(listing::json::write_line(&proofs, &mut stdout().lock()))?;
    } else {
        printed(listing::proofs(&proofs, &mut stdout().lock()))?;
    }
    refuse_damage(&proofs)
}

async fn names(repository: &Repository, arguments: &BackupVerify) -> Result<Vec<BackupName>> {
    match &arguments.backup_name {
        Some(name) => Ok(vec![backups::find(repository, &Wanted::parse(name)?).await?]),
        None => Ok(backups::list(repository).await?.into_iter().map(|backup| backup.name).collect()),
    }
}

fn proofs_of(verified: &VerifiedSegment, duration_seconds: f64) -> Vec<Proof> {
    let at = Timestamp::from(chrono::Utc::now());
    let proof = |source: &formats::wire::VerifiedSource| {
        let found = || verified.findings.iter().filter(|finding| finding.backups.contains(&source.backup));
        let findings: Vec<_> = found()
            .map(|finding| Finding { object: finding.object.clone(), problem: finding.problem.clone() })
            .collect();
        let mut affected: Vec<BackupName> = found().flat_map(|finding| finding.backups.iter().cloned()).collect();
        affected.sort();
        affected.dedup();
        Proof {
            backup: source.backup.clone(),
            kind: ProofKind::Verify,
            at,
            ok: findings.is_empty(),
            duration_seconds,
            bytes: source.bytes,
            objects: source.objects,
            more_findings: if findings.is_empty() { 0 } else { verified.more_findings },
            findings,
            affected_backups: affected,
            affected_restore_points: Vec::new(),
        }
    };
    verified.sources.iter().map(proof).collect()
}

/// An error that names what is damaged; the findings were printed.
fn refuse_damage(proofs: &[Proof]) -> Result<()> {
    let damaged: Vec<_> = proofs.iter().filter(|proof| !proof.ok).map(|proof| proof.backup.as_str()).collect();
    if damaged.is_empty() {
        return Ok(());
    }
    let what = format!("{} of {} backups are damaged: {}", damaged.len(), proofs.len(), damaged.join(", "));
    Err(Error::refused(what, "restore the objects named above from a copy of the storage, or make a full backup now"))
}
