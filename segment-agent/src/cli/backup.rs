//! Backups of one server on this machine: a single server, or a segment by itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgAction, Args};
use formats::lease::LeaseKind;
use formats::selection::Selector;
use formats::wire::{Event, PushedSegment};
use formats::{ContentId, TablespaceSpec};
use settings::Settings;
use tokio_util::sync::CancellationToken;

use super::delta::{DeltaFlags, base_of};
use crate::backups::{self, Wanted};
use crate::delta::Wish;
use crate::error::{Error, Result};
use crate::fetch::{FetchRequest, Fetched, Places, fetch};
use crate::lease::{self, Lease, LeaseRequest};
use crate::monitor::Monitor;
use crate::push::{PushRequest, push};
use crate::repository::Repository;
use crate::work::{connect_options, fetch_pool, part_bytes, push_pool, shared_limits, stop_timeout};

/// Back up the running server's data directory to the storage
#[derive(Debug, Args)]
pub struct BackupPush {
    /// The data directory; must be the one that the server runs on
    db_directory: PathBuf,
    /// Never removed by a delete command
    #[arg(short, long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    permanent: bool,
    /// Any JSON value, stored with the backup; WALG_SENTINEL_USER_DATA is used where this is absent
    #[arg(long, value_name = "JSON")]
    add_user_data: Option<String>,
    #[command(flatten)]
    delta: DeltaFlags,
}

/// Restore a backup into a directory
#[derive(Debug, Args)]
pub struct BackupFetch {
    /// Created if it does not exist; must be empty, or hold an unfinished restore of the same backup
    destination_directory: PathBuf,
    /// Name of the backup, or LATEST
    backup_name: Option<String>,
    /// Choose the backup with this user data; WALG_FETCH_TARGET_USER_DATA is used where this is absent
    #[arg(long, value_name = "JSON")]
    target_user_data: Option<String>,
    /// Restore these databases and tables alone: db, db/table (of public), db/schema.table or db/schema/table, divided by
    /// commas; * stands for any characters
    #[arg(long, value_name = "NAMES")]
    restore_only: Vec<String>,
    /// Accepted for the sake of scripts: deltas are put together in one way only
    #[arg(long, hide = true)]
    reverse_unpack: bool,
    /// Accepted for the sake of scripts: archives that hold nothing needed are never read
    #[arg(long, hide = true)]
    skip_redundant_tars: bool,
    /// JSON file that puts the tablespaces elsewhere
    #[arg(long, value_name = "FILE")]
    restore_spec: Option<PathBuf>,
}

/// `backup-push`, of a single server or of the segment `content`.
pub(super) async fn backup_push(
    settings: &Settings,
    content: Option<ContentId>,
    arguments: &BackupPush,
    cancel: &CancellationToken,
) -> Result<()> {
    let wish = arguments.delta.wish(settings, arguments.permanent)?;
    let user_data = user_data(arguments.add_user_data.as_deref().or(settings.get("WALG_SENTINEL_USER_DATA")))?;
    let pushed = push_here(settings, content, arguments.db_directory.clone(), &wish, user_data, cancel).await?;
    tracing::info!("Wrote backup with name {} to storage default", pushed.backup_name);
    Ok(())
}

/// `backup-fetch`, of a single server or of the segment `content`.
pub(super) async fn backup_fetch(
    settings: &Settings,
    content: Option<ContentId>,
    arguments: &BackupFetch,
    cancel: &CancellationToken,
) -> Result<()> {
    let data = arguments.target_user_data.as_deref().or(settings.get("WALG_FETCH_TARGET_USER_DATA"));
    let wanted = wanted(arguments.backup_name.as_deref(), data)?;
    let BackupFetch { destination_directory, restore_only, restore_spec, .. } = arguments;
    let (destination, spec) = (destination_directory.clone(), restore_spec.as_deref());
    fetch_here(settings, content, &wanted, destination, restore_only, spec, cancel).await.map(drop)
}

/// The repository of a single server is the whole storage, that of a segment a part of it.
fn part(whole: &Repository, content: Option<ContentId>) -> Repository {
    content.map_or_else(|| whole.clone(), |content| whole.segment(content))
}

/// Backup of `data_dir`: full, or a delta where `wish` comes to that.
async fn push_here(
    settings: &Settings,
    content: Option<ContentId>,
    data_dir: PathBuf,
    wish: &Wish,
    user_data: Option<serde_json::Value>,
    cancel: &CancellationToken,
) -> Result<PushedSegment> {
    let whole = Repository::open(settings)?;
    let repository = part(&whole, content);
    let control = crate::data_dir::read_control(&data_dir)?;
    crate::data_dir::refuse_contradictions(settings, &control)?;
    let mut request = PushRequest {
        data_dir,
        connect: connect_options(settings)?,
        backup_id: None,
        user_data,
        permanent: wish.permanent,
        base: None,
        delta_count: None,
        part_bytes: part_bytes(settings)?,
        wait_for_archive: true,
        stop_timeout: stop_timeout(settings)?,
        with_names: !settings.bool("WALG_DISABLE_PARTIAL_RESTORE")?,
        shared: content.map(|_| shared_limits(settings)).transpose()?,
    };
    let pool = push_pool(settings, &repository)?;
    let what = format!("a backup of {}", request.data_dir.display());
    let term = lease::term(settings)?;
    let wanted = LeaseRequest { kind: LeaseKind::Push, what, term, linger: Duration::ZERO };
    let lease = Lease::acquire(whole.store(), wanted).await?;
    let done = {
        let stop = cancel.child_token();
        let monitor = logging_monitor();
        let mut pushing = std::pin::pin!(async {
            if let Some((base, count)) = base_of(&repository, wish).await? {
                (request.base, request.delta_count) = (Some(base), Some(count));
            }
            push(&repository, &request, &pool, &monitor, &stop).await
        });
        tokio::select! {
            done = &mut pushing => done,
            lost = lease.lost() => {
                stop.cancel();
                pushing.await.and(Err(lost))
            }
        }
    };
    lease.release().await;
    done
}

/// Restores a backup. `only`: lists of databases and tables, all if there are none;
/// `restore_spec`: file that names other places for the tablespaces.
async fn fetch_here(
    settings: &Settings,
    content: Option<ContentId>,
    wanted: &Wanted,
    destination: PathBuf,
    only: &[String],
    restore_spec: Option<&Path>,
    cancel: &CancellationToken,
) -> Result<Fetched> {
    let whole = Repository::open(settings)?;
    let repository = part(&whole, content);
    let backup = backups::find(&repository, wanted).await?;
    let only = selectors(only)?;
    let tablespaces = restore_spec.map(read_restore_spec).transpose()?.map_or(Places::Recorded, Places::Spec);
    let durable = !settings.bool("WALG_TAR_DISABLE_FSYNC")?;
    let request =
        FetchRequest { tablespaces, only, durable, ..FetchRequest::new(backup, destination, content.is_some()) };
    let pool = fetch_pool(settings, &repository)?;
    let reading = format!("a restore of {}", request.backup);
    let lease = Lease::read(whole.store(), &reading, lease::term(settings)?).await;
    let fetched = fetch(&repository, &request, &pool, &logging_monitor(), cancel).await;
    if let Some(lease) = lease {
        lease.release().await;
    }
    fetched
}

/// JSON as given on the command line or in a setting.
pub fn user_data(text: Option<&str>) -> Result<Option<serde_json::Value>> {
    let parse = |text| {
        serde_json::from_str(text).map_err(|error| {
            Error::refused(
                format!("the user data {text:?} is not JSON: {error}"),
                r#"quote it for the shell: '{"label":"monday"}'"#,
            )
        })
    };
    text.map(parse).transpose()
}

/// The backup that a name or user data asks for: exactly one of the two.
pub fn wanted(name: Option<&str>, data: Option<&str>) -> Result<Wanted> {
    match (name, user_data(data)?) {
        (Some(name), None) => Wanted::parse(name),
        (None, Some(data)) => Ok(Wanted::WithUserData(data)),
        (None, None) => Err(Error::refused(
            "insufficient arguments: no backup is named",
            "give a name, LATEST or --target-user-data",
        )),
        (Some(_), Some(_)) => Err(Error::refused(
            "incorrect arguments: both a name and user data are given",
            "give either a name or --target-user-data",
        )),
    }
}

/// What the lists of `--restore-only` name.
pub fn selectors(lists: &[String]) -> Result<Vec<Selector>> {
    let mut all = Vec::new();
    for list in lists {
        let some = Selector::parse_list(list).map_err(|error| {
            Error::refused(error.to_string(), "write db, db/table, db/schema.table or db/schema/table")
        })?;
        all.extend(some);
    }
    Ok(all)
}

fn read_restore_spec(path: &Path) -> Result<TablespaceSpec> {
    let text = std::fs::read(path).map_err(|error| Error::file("reading the restore spec", path, error))?;
    serde_json::from_slice(&text).map_err(|error| {
        Error::refused(
            format!("the restore spec {} cannot be read: {error}", path.display()),
            r#"write it as {"base_prefix":"<data dir>","tablespaces":["<oid>"],"<oid>":{"loc":"<place>","link":"pg_tblspc/<oid>"}}"#,
        )
    })
}

/// Phases and warnings go to the log by themselves.
fn logging_monitor() -> Monitor {
    Monitor::new(ContentId::COORDINATOR, std::sync::Arc::new(|_: Event| {}))
}
