//! `drill`: the proof that a backup can be restored, by restoring it.
//!
//! Restored to scratch places, started there without archiving, compared with the rows that were counted at backup time; the
//! servers are stopped and the directories removed whatever came out, then the result is stored with the backup. Only directories
//! that did not exist or were empty are used, and so removed.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use coordinator::catalog::{self, Target};
use formats::layout;
use formats::proof::{Finding, Proof, ProofKind};
use formats::rows::{BackupRows, Difference, differences};
use formats::server::{Archiving, ServerAction};
use restore_configs::RestoreConfig;
use segment_agent::proofs;
use segment_agent::repository::Repository;

use super::backup_fetch::{self, Plan, read_restore_config};
use super::backup_push::now;
use super::servers::Servers;
use super::{cluster_start, row_counts};
use crate::error::{Error, Result};
use crate::session::Session;

/// Prove a backup: restore it to scratch places, start it, compare its rows, and clean up
///
/// The directories of the restore config must not exist or be empty; they are removed at the end. The rows are compared with those
/// that backup-push --row-counts stored. The measured time is that from the first byte to a cluster that answers.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Drill {
    /// Name of the backup, or LATEST
    #[arg(default_value = "LATEST")]
    backup_name: String,
    /// Scratch places of the segments
    #[arg(long, value_name = "FILE")]
    restore_config: PathBuf,
    /// Leave servers stopped and directories as they are at the end
    #[arg(long)]
    keep: bool,
}

/// What a restore brought.
struct Restored {
    bytes: u64,
    seconds: f64,
    findings: Vec<Finding>,
}

pub async fn run(session: &Session, arguments: Drill) -> Result<()> {
    let repository = session.repository()?;
    let target = Target::from_arguments(&catalog::Arguments {
        backup: Some(arguments.backup_name),
        ..catalog::Arguments::default()
    })?;
    let config = RestoreConfig::parse(&read_restore_config(&arguments.restore_config)?)?;
    let choice = catalog::choose(repository.store(), &target).await?;
    let plan = backup_fetch::lay_out(choice, config, None)?;
    for warning in &plan.choice.warnings {
        tracing::warn!("{warning}");
    }
    must_be_scratch(&plan)?;
    let servers = Servers::new(session, &plan.places);
    servers.act("looking", &plan.places, |_| ServerAction::MustBeEmpty).await?;

    tracing::info!("drill of backup {}", plan.choice.backup);
    let outcome = restore(session, &repository, &plan).await;
    let cleaned = clean_up(&servers, &plan, arguments.keep).await;
    // A drill that was interrupted proves nothing, for or against.
    if session.cancel.is_cancelled() {
        return Err(Error::Interrupted);
    }
    store(&repository, &plan, &outcome).await?;
    cleaned?;
    conclude(&plan, outcome?)
}

/// A drill must not touch the cluster that was backed up.
fn must_be_scratch(plan: &Plan) -> Result<()> {
    for segment in &plan.choice.sentinel.segments {
        let clash = plan.places.iter().find(|node| {
            let same_dir = node.data_dir == std::path::Path::new(&segment.data_dir);
            node.hostname == segment.hostname && (same_dir || node.port == segment.port)
        });
        if let Some(node) = clash {
            let what = format!(
                "content {} of the restore config takes the port or the directory that content {} of the backed up cluster has \
                 on {}",
                node.content, segment.content_id, node.hostname
            );
            return Err(Error::refused(what, "give the drill ports and directories of its own"));
        }
    }
    Ok(())
}

async fn restore(session: &Session, repository: &Repository, plan: &Plan) -> Result<Restored> {
    let begin = Instant::now();
    let bytes = backup_fetch::unpack(session, plan).await?;
    backup_fetch::prepare(session, plan).await?;
    cluster_start::start(session, &plan.places, &plan.places, &[], Archiving::Off).await?;
    let seconds = begin.elapsed().as_secs_f64();
    tracing::info!("restored and started in {seconds:.1} s: {} a second", rate(bytes, seconds));
    let findings = compare(session, repository, plan).await?;
    Ok(Restored { bytes, seconds, findings })
}

fn rate(bytes: u64, seconds: f64) -> String {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "for people"
    )]
    let rate = (bytes as f64 / seconds.max(0.001)) as u64;
    indicatif::BinaryBytes(rate).to_string()
}

/// What differs from the rows at backup time.
async fn compare(session: &Session, repository: &Repository, plan: &Plan) -> Result<Vec<Finding>> {
    let key = layout::rows_key(&plan.choice.backup);
    let Some(expected) = repository.find_json::<BackupRows>(&key).await? else {
        tracing::warn!(
            "the backup has no row counts: rows are not compared; make backups with backup-push --row-counts"
        );
        return Ok(Vec::new());
    };
    let found = row_counts::count(session, &plan.places).await?;
    let (mut findings, mut tables) = (Vec::new(), 0);
    for (content, expected) in &expected.segments {
        tables += expected.len();
        let found = found.get(content).map_or(&[][..], Vec::as_slice);
        findings.extend(differences(expected, found).into_iter().map(|difference| finding(*content, &difference)));
    }
    tracing::info!("rows of {tables} tables compared: {} differ", findings.len());
    Ok(findings)
}

fn finding(content: formats::ContentId, difference: &Difference<'_>) -> Finding {
    let (Difference::Missing(table) | Difference::Changed { expected: table, .. }) = difference;
    let problem = match difference {
        Difference::Missing(table) => format!("is missing; it had {} rows", table.rows),
        Difference::Changed { expected, found } if expected.rows == found.rows => {
            format!(
                "its {} rows are not those of the backup: their sum is {}, not {}",
                found.rows, found.sum, expected.sum
            )
        }
        Difference::Changed { expected, found } => format!("has {} rows instead of {}", found.rows, expected.rows),
    };
    let object = format!("content {content}: {}: {}.{}", table.database, table.schema, table.table);
    Finding { object, problem }
}

/// Also after an interruption.
async fn clean_up(servers: &Servers<'_>, plan: &Plan, keep: bool) -> Result<()> {
    servers.act_at_the_end(&plan.places, |_| ServerAction::StopIfThere).await?;
    if keep {
        tracing::info!("the servers are stopped, their directories kept");
        return Ok(());
    }
    servers.act_at_the_end(&plan.places, |_| ServerAction::Remove).await
}

async fn store(repository: &Repository, plan: &Plan, outcome: &Result<Restored>) -> Result<()> {
    let (bytes, duration_seconds, findings) = match outcome {
        Ok(restored) => (restored.bytes, restored.seconds, restored.findings.clone()),
        Err(error) => (0, 0.0, vec![Finding { object: "restore and start".to_owned(), problem: error.to_string() }]),
    };
    let backup = plan.choice.backup.clone();
    let proof = Proof {
        backup,
        kind: ProofKind::Drill,
        at: now(),
        ok: findings.is_empty(),
        duration_seconds,
        bytes,
        objects: 0,
        findings,
        more_findings: 0,
        affected_backups: Vec::new(),
        affected_restore_points: Vec::new(),
    };
    Ok(proofs::remember(repository, proof).await?)
}

fn conclude(plan: &Plan, restored: Restored) -> Result<()> {
    for finding in &restored.findings {
        tracing::error!("{} {}", finding.object, finding.problem);
    }
    let backup = &plan.choice.backup;
    if restored.findings.is_empty() {
        tracing::info!("drill passed: backup {backup} was restored and started in {:.1} s", restored.seconds);
        return Ok(());
    }
    let what =
        format!("drill failed: {} tables of backup {backup} differ from what was backed up", restored.findings.len());
    Err(Error::refused(what, "verify the backup (backup-verify), and make a new one"))
}
