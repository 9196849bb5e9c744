//! Commands about one server and its repository of backups: `damson-pg` and `damson seg` have them in common.

use std::io::{Write, stdout};
use std::path::Path;
use std::time::Duration;

use clap::{ArgAction, Args, Subcommand};
use formats::ContentId;
use formats::lease::LeaseKind;
use settings::Settings;
use tokio_util::sync::CancellationToken;

use super::backup::{BackupFetch, BackupPush, backup_fetch, backup_push};
use super::copy::{Copy, copy_here};
use super::form::{Form, printed};
use super::verify::{BackupVerify, backup_verify};
use super::wal::{WalShow, WalVerify, wal_show, wal_verify};
use crate::backups::{self, Wanted};
use crate::error::{Error, Result};
use crate::lease::{self, Lease, LeaseRequest};
use crate::listing;
use crate::mark;
use crate::repository::Repository;

#[derive(Debug, Subcommand)]
pub enum RepositoryCommand {
    /// Back up the running server's data directory to the storage
    BackupPush(BackupPush),
    /// Restore a backup into a directory
    BackupFetch(BackupFetch),
    /// List the backups, oldest first
    BackupList(BackupList),
    /// Keep a backup from being deleted, or no longer
    BackupMark(BackupMark),
    /// Read everything that a backup consists of, and say whether it can be restored
    BackupVerify(BackupVerify),
    /// Show which log files are archived, timeline by timeline
    WalShow(WalShow),
    /// Check that the archived log is whole and of the server's timeline
    WalVerify(WalVerify),
    /// Copy backups to another storage, with all that is needed to restore them
    Copy(Copy),
}

impl RepositoryCommand {
    /// A settings file that stands in for that of `--config`, of commands that have their own.
    pub fn own_config(&self) -> Option<&Path> {
        match self {
            Self::Copy(copy) => Some(&copy.from),
            _ => None,
        }
    }
}

/// List the backups, oldest first
#[derive(Debug, Args)]
pub struct BackupList {
    #[command(flatten)]
    form: Form,
    /// Times, host, version and positions of every backup
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    detail: bool,
}

/// Keep a backup from being deleted, or no longer
#[derive(Debug, Args)]
pub struct BackupMark {
    /// Name of the backup, or LATEST
    pub backup_name: String,
    /// Let the backup be deleted again; without it, the backup and all it is based on become permanent
    #[arg(short, long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    pub impermanent: bool,
}

/// Runs the command on the storage's root, or on the part of one segment.
pub async fn run_repository_command(
    settings: &Settings,
    content: Option<ContentId>,
    command: &RepositoryCommand,
    cancel: &CancellationToken,
) -> Result<()> {
    let repository = || open(settings, content);
    match command {
        RepositoryCommand::BackupPush(arguments) => backup_push(settings, content, arguments, cancel).await,
        RepositoryCommand::BackupFetch(arguments) => backup_fetch(settings, content, arguments, cancel).await,
        RepositoryCommand::BackupList(arguments) => backup_list(&repository()?, arguments).await,
        RepositoryCommand::BackupMark(arguments) => {
            // Of the whole storage: deletions are kept away, as they go by the marks.
            let root = Repository::open(settings)?;
            let what = format!("marking backup {}", arguments.backup_name);
            let request =
                LeaseRequest { kind: LeaseKind::Read, what, term: lease::term(settings)?, linger: Duration::ZERO };
            let lease = Lease::acquire(root.store(), request).await?;
            let done = backup_mark(&repository()?, arguments).await;
            lease.release().await;
            done
        }
        RepositoryCommand::BackupVerify(arguments) => {
            backup_verify(settings, &repository()?, content.is_some(), arguments, cancel).await
        }
        RepositoryCommand::WalShow(arguments) => wal_show(settings, &repository()?, arguments).await,
        RepositoryCommand::WalVerify(arguments) => wal_verify(settings, &repository()?, arguments).await,
        RepositoryCommand::Copy(arguments) => copy_here(settings.kind(), content, arguments, cancel).await,
    }
}

/// The repository of a single server, or of one segment.
pub(super) fn open(settings: &Settings, content: Option<ContentId>) -> Result<Repository> {
    let whole = Repository::open(settings)?;
    Ok(content.map_or_else(|| whole.clone(), |content| whole.segment(content)))
}

async fn backup_list(repository: &Repository, arguments: &BackupList) -> Result<()> {
    let backups = backups::list(repository).await?;
    let layout = arguments.form.layout();
    if !arguments.detail {
        return printed(listing::backups(&backups, layout, &mut stdout().lock()));
    }
    let (mut found, unreadable) = backups::details(repository, &backups).await;
    backups::sort_by_start(&mut found);
    printed(listing::backup_details(&found, layout, &mut stdout().lock()))?;
    tell_unreadable(&unreadable)
}

/// Errors about backups that a list leaves out.
pub(super) fn tell_unreadable(unreadable: &[Error]) -> Result<()> {
    printed(stdout().lock().flush())?;
    for error in unreadable {
        tracing::error!("{error}");
    }
    if unreadable.is_empty() {
        return Ok(());
    }
    let what = format!("{} backups are left out, because their metadata.json cannot be read", unreadable.len());
    Err(Error::refused(what, "delete these backups, or restore their metadata.json from a copy of the storage"))
}

async fn backup_mark(repository: &Repository, arguments: &BackupMark) -> Result<()> {
    let name = backups::find(repository, &Wanted::parse(&arguments.backup_name)?).await?;
    let permanent = !arguments.impermanent;
    let marked = mark::mark(repository, &name, permanent).await?;
    let state = if permanent { "permanent" } else { "impermanent" };
    if marked.is_empty() {
        tracing::warn!("Backup {name} is already marked as {state}, ignoring...");
    }
    for backup in marked {
        tracing::info!("backup {backup} is {state} now");
    }
    Ok(())
}
