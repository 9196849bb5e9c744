//! `delete`: removes old backups of the cluster, with what belongs to them on every segment.
//!
//! The whole plan is made first, for all segments. It is carried out in this order: a document that says what is about to go; the
//! sentinels of the cluster's backups; restore points; then the segments, each of them sentinels first. So there never is a
//! listed backup whose parts are gone, and a deletion that was killed is finished by the next one, whatever its form.

mod plan;
mod print;
mod root;

use std::collections::BTreeMap;

use chrono::Utc;
use clap::{Args, Subcommand};
use formats::ContentId;
use formats::deletion::Deletion;
use formats::lease::LeaseKind;
use futures::stream::{self, StreamExt};
use segment_agent::cli::{Before, DeleteFlags, Everything, Retain, Target, words};
use segment_agent::lease::Lease;
use segment_agent::repository::Repository;
use segment_agent::retain::report::Outcome;
use segment_agent::retain::{Begun, Stop, execute};
use segment_agent::{backups::Wanted, retain::select::Rule};

use self::plan::ClusterPlan;
use crate::error::{Error, Result};
use crate::session::Session;

/// Remove old backups, and the log that they needed, from the cluster and every segment; nothing is changed without --confirm
///
/// Permanent backups, and backups that others are based on, are kept by every form. Whatever the form, what failed pushes and
/// killed deletions have left is removed too, once it is older than DAMSON_GARBAGE_AGE.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Delete {
    #[command(flatten)]
    flags: DeleteFlags,
    #[command(subcommand)]
    command: DeleteCommand,
}

#[derive(Debug, Subcommand)]
enum DeleteCommand {
    Before(Before),
    Retain(Retain),
    Everything(Everything),
    Target(Target),
    /// Remove what is older than the oldest backup that is not permanent, and what failed pushes left
    Garbage,
}

/// What is done, once arguments are understood.
enum Job {
    Rule(Rule),
    /// The backup is looked for under the lease.
    Target {
        wanted: Wanted,
        find_full: bool,
    },
    Everything {
        force: bool,
    },
}

pub async fn run(session: &Session, arguments: Delete) -> Result<()> {
    let job = match &arguments.command {
        DeleteCommand::Before(before) => Job::Rule(before.rule()?),
        DeleteCommand::Retain(retain) => Job::Rule(retain.rule(None)?),
        DeleteCommand::Garbage => Job::Rule(Rule::Garbage),
        DeleteCommand::Everything(everything) => Job::Everything { force: everything.is_forced() },
        DeleteCommand::Target(target) => {
            let (wanted, find_full) = target.wanted()?;
            Job::Target { wanted, find_full }
        }
    };
    let repository = session.repository()?;
    let concurrency = concurrency(session)?;
    if !arguments.flags.confirm {
        let planner = planner(session, &repository, &arguments.flags, concurrency, Utc::now())?;
        let plan = planner.plan(&job, &Begun::default()).await?;
        return print::conclude(&plan, arguments.flags.json, Outcome::DryRun, &BTreeMap::new());
    }
    session
        .under_lease(&repository, LeaseKind::Delete, &words(), async |lease| {
            let planner = planner(session, &repository, &arguments.flags, concurrency, lease.taken)?;
            let mut begun = Begun::load(repository.store()).await?;
            let plan = planner.plan(&job, &begun).await?;
            let failures = carry_out(session, &repository, &plan, &mut begun, concurrency, lease).await?;
            if failures.is_empty() && plan.is_complete() {
                begun.end(repository.store()).await?;
            }
            print::conclude(&plan, arguments.flags.json, Outcome::Done, &failures)
        })
        .await
}

fn planner<'a>(
    session: &Session,
    repository: &'a Repository,
    flags: &DeleteFlags,
    concurrency: usize,
    now: chrono::DateTime<Utc>,
) -> Result<plan::Planner<'a>> {
    let leftover = segment_agent::cli::leftover_age(&session.settings)?;
    let age = segment_agent::retain::Age { now, leftover };
    Ok(plan::Planner { repository, concurrency, age, force: flags.force_delete })
}

/// Segments at once. WAL-G works on one when the number makes no sense.
fn concurrency(session: &Session) -> Result<usize> {
    let wanted = session.settings.int("WALG_GP_DELETE_CONCURRENCY")?.unwrap_or(1);
    match usize::try_from(wanted) {
        Ok(count) if count >= 1 => Ok(count),
        _ => {
            tracing::warn!("WALG_GP_DELETE_CONCURRENCY is {wanted}: segments are cleaned one after the other");
            Ok(1)
        }
    }
}

/// Returns what failed on single segments. What fails at the cluster's own level ends the deletion.
async fn carry_out(
    session: &Session,
    repository: &Repository,
    plan: &ClusterPlan,
    begun: &mut Begun,
    concurrency: usize,
    lease: &Lease,
) -> Result<BTreeMap<ContentId, Error>> {
    let stop = Stop { cancel: &session.cancel, lease };
    begun.add(repository.store(), &document(plan)).await?;
    execute(repository.store(), &plan.root, stop).await.map_err(interrupted)?;
    let work = plan.segments.iter().map(|(content, plan)| async move {
        let store = repository.segment(*content);
        (*content, execute(store.store(), plan, stop).await)
    });
    let work: Vec<_> = work.collect();
    let done: Vec<_> = stream::iter(work).buffer_unordered(concurrency).collect().await;
    if session.cancel.is_cancelled() {
        return Err(Error::Interrupted);
    }
    Ok(done.into_iter().filter_map(|(content, done)| Some((content, done.err()?.into()))).collect())
}

fn interrupted(error: segment_agent::error::Error) -> Error {
    match error {
        segment_agent::error::Error::Cancelled => Error::Interrupted,
        other => other.into(),
    }
}

fn document(plan: &ClusterPlan) -> Deletion {
    let segments: BTreeMap<_, _> =
        plan.segments.iter().map(|(content, plan)| (*content, plan.gone.keys().cloned().collect())).collect();
    let backups = plan.root.gone.keys().cloned().collect();
    Deletion { what: words(), begun: Utc::now().into(), backups, segments }
}
