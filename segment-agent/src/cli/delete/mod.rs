//! `delete` of a single server.

mod arguments;

use std::io::{Write, stdout};
use std::time::Duration;

use chrono::Utc;
use clap::{ArgAction, Args, Subcommand};
use formats::deletion::Deletion;
use formats::lease::LeaseKind;
use formats::{BackupName, layout};
use settings::Settings;
use storage::Store;
use tokio_util::sync::CancellationToken;

pub use self::arguments::{Before, DeleteFlags, Everything, Retain, Target};
use super::form::printed;
use crate::backups;
use crate::error::{Error, Result};
use crate::lease::{self, Lease, LeaseRequest};
use crate::repository::Repository;
use crate::retain::report::{self, Outcome, Part, Summary};
use crate::retain::select::{Choice, Rule};
use crate::retain::single::{self, View};
use crate::retain::{Age, Begun, DeletePlan, Scope, Stop, execute};

/// Folders of a server's storage that are WAL-G's and ours.
const FOLDERS: [&str; 4] = [layout::BASEBACKUPS, layout::WAL, "catchup_005", layout::DAMSON];

/// Nothing must have been added to what belongs to no backup for so long (DAMSON_GARBAGE_AGE).
pub fn leftover_age(settings: &Settings) -> Result<Duration> {
    Ok(settings.duration("DAMSON_GARBAGE_AGE")?.unwrap_or(Duration::from_secs(3600)))
}

/// Remove old backups and the log that they needed; nothing is changed without --confirm
#[derive(Debug, Args)]
pub struct Delete {
    #[command(flatten)]
    flags: DeleteFlags,
    /// Order backups by the time when they began instead of by log file
    #[arg(long, global = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    use_sentinel_time: bool,
    #[command(subcommand)]
    command: DeleteCommand,
}

#[derive(Debug, Subcommand)]
enum DeleteCommand {
    Before(Before),
    Retain {
        #[command(flatten)]
        retain: Retain,
        /// Keep besides what is as new as this: a name or an RFC 3339 time
        #[arg(short, long, value_name = "NAME|TIME")]
        after: Option<String>,
    },
    Everything(Everything),
    Target(Target),
    /// Remove what is older than the oldest backup that is not permanent, and what failed pushes left
    Garbage {
        /// The log alone, or backups alone
        #[arg(value_parser = ["ARCHIVES", "BACKUPS"])]
        what: Option<String>,
    },
}

/// What is done, once arguments are understood.
enum Job {
    Rule(Rule),
    Everything { force: bool },
}

/// Deletes from the root of the configured storage.
pub async fn delete_here(settings: &Settings, arguments: &Delete, cancel: &CancellationToken) -> Result<()> {
    let repository = Repository::open(settings)?;
    let store = repository.store();
    let job = job(&repository, arguments).await?;
    if !arguments.flags.confirm {
        let planned = plan(settings, store, arguments, &job, Utc::now(), &Begun::default()).await?;
        return conclude(&planned, arguments, Outcome::DryRun);
    }
    let what = words();
    let request = LeaseRequest { kind: LeaseKind::Delete, what, term: lease::term(settings)?, linger: Duration::ZERO };
    let lease = Lease::acquire(store, request).await?;
    let done = carry_out(settings, store, arguments, &job, Stop { cancel, lease: &lease }).await;
    let lost = lease.is_lost();
    lease.release().await;
    match done {
        Err(Error::Cancelled) if lost => Err(Error::refused(
            "the lease on the storage was lost, so that the deletion stopped",
            "run the same command again: it finishes what was begun",
        )),
        other => other,
    }
}

/// The command as it was given, for those whom the lease keeps away.
pub fn words() -> String {
    let words: Vec<String> = std::env::args().skip_while(|word| word != "delete").collect();
    words.join(" ")
}

async fn job(repository: &Repository, arguments: &Delete) -> Result<Job> {
    let rule = match &arguments.command {
        DeleteCommand::Everything(everything) => return Ok(Job::Everything { force: everything.is_forced() }),
        DeleteCommand::Before(before) => before.rule()?,
        DeleteCommand::Retain { retain, after } => retain.rule(after.as_deref())?,
        DeleteCommand::Garbage { .. } => Rule::Garbage,
        DeleteCommand::Target(target) => {
            let (wanted, find_full) = target.wanted()?;
            let name = backups::find(repository, &wanted).await?;
            tracing::info!("Selecting the backup with name {name}...");
            Rule::Target { name, find_full }
        }
    };
    Ok(Job::Rule(rule))
}

async fn carry_out(settings: &Settings, store: &Store, arguments: &Delete, job: &Job, stop: Stop<'_>) -> Result<()> {
    let mut begun = Begun::load(store).await?;
    let plan = plan(settings, store, arguments, job, stop.lease.taken, &begun).await?;
    let backups: Vec<BackupName> = plan.gone.keys().cloned().collect();
    let document = Deletion { what: words(), begun: Utc::now().into(), backups, ..Deletion::default() };
    begun.add(store, &document).await?;
    execute(store, &plan, stop).await?;
    begun.end(store).await?;
    conclude(&plan, arguments, Outcome::Done)
}

async fn plan(
    settings: &Settings,
    store: &Store,
    arguments: &Delete,
    job: &Job,
    now: chrono::DateTime<Utc>,
    begun: &Begun,
) -> Result<DeletePlan> {
    let rule = match job {
        Job::Rule(rule) => rule,
        Job::Everything { force } => {
            if !force {
                single::refuse_everything(store).await?;
            }
            return single::everything(store, &FOLDERS).await;
        }
    };
    let scope = match &arguments.command {
        DeleteCommand::Garbage { what: Some(what) } if what == "ARCHIVES" => Scope::Archives,
        DeleteCommand::Garbage { what: Some(_) } => Scope::Backups,
        _ => Scope::All,
    };
    let view = View {
        by_start_time: arguments.use_sentinel_time,
        scope,
        age: Age { now, leftover: leftover_age(settings)? },
        force: arguments.flags.force_delete,
    };
    let (choice, plan) = single::plan(store, rule, view, begun).await?;
    say_nothing_found(&choice, rule);
    Ok(plan)
}

/// Leftovers are looked for all the same.
pub fn say_nothing_found(choice: &Choice, rule: &Rule) {
    match (choice, rule) {
        (Choice::Nothing, Rule::Garbage) => {
            tracing::info!("Couldn't find any non-permanent backups in storage.");
        }
        (Choice::Nothing, _) => tracing::info!("No backup found for deletion"),
        (_, Rule::Garbage) => {
            tracing::info!("Running in default mode. Will remove outdated WAL files and leftover backup files.");
        }
        _ => {}
    }
}

fn conclude(plan: &DeletePlan, arguments: &Delete, outcome: Outcome) -> Result<()> {
    let part = Part { prefix: String::new(), plan };
    report::log_objects(&part, outcome);
    report::log_count(plan.objects.len(), outcome);
    let summary = Summary { parts: vec![part], ..Summary::default() };
    print_summary(&summary, arguments.flags.json, outcome)?;
    for problem in &plan.problems {
        tracing::error!("{problem}");
    }
    match plan.problems.len() {
        0 => Ok(()),
        count => Err(Error::refused(
            format!("{count} things could not be found out, so that the deletion is not complete"),
            "see the errors above",
        )),
    }
}

/// The plan on standard output: as JSON where that is asked for, else in words before it is carried out.
pub fn print_summary(summary: &Summary<'_>, json: bool, outcome: Outcome) -> Result<()> {
    let text = match (json, outcome) {
        (true, _) => format!("{}\n", summary.json(outcome)),
        (false, Outcome::DryRun) => summary.text(),
        (false, Outcome::Done) => return Ok(()),
    };
    printed(stdout().lock().write_all(text.as_bytes()))
}
