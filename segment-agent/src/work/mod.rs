//! The work of a job: one command, carried out for all segments of this host side by side.
//!
//! The segments share one pool of workers, so the host's memory and CPU are bounded whatever their number. A push or a restore
//! that fails for a reason that may pass is tried once more (see [`again`]) while the others go on; any other failure stops the
//! others.

mod again;
mod ao_lengths;
mod check;
pub(crate) mod prepare;
mod resources;
mod verify;

use std::sync::Arc;

use formats::selection::Selector;
use formats::server::ServerAction;
use formats::wire::{Event, JobSpec, RecoverySettings, SegmentResult, SegmentTarget, VerifySource, Work};
use formats::{BackupId, BackupName};
use futures::future::join_all;
use pgclient::{ConnectOptions, Server};
use settings::Settings;
use tokio_util::sync::CancellationToken;

use crate::bridge::joined;
use crate::error::{Error, Result, keep_first};
use crate::fetch::{FetchRequest, Places, fetch};
use crate::monitor::{Monitor, Sink};
use crate::pool::Pool;
use crate::push::{PushRequest, push};
use crate::repository::Repository;
use crate::server::{self, Place};

pub use self::ao_lengths::check_lengths;
pub use self::resources::{
    connect_options, copies_at_once, fetch_pool, part_bytes, push_pool, shared_limits, stop_timeout,
};

/// What every segment of a job shares.
struct Shared {
    settings: Settings,
    repository: Repository,
    pool: Pool,
    cancel: CancellationToken,
}

/// The part of the work that concerns one segment.
#[derive(Clone)]
enum Task {
    Check,
    Push { id: BackupId, base: Option<BackupName>, permanent: bool },
    SwitchWal,
    LeaveBackupMode,
    Unpack { backup: BackupName, only: Vec<Selector>, tablespaces: Places },
    Verify { sources: Vec<VerifySource> },
    CheckAoLength { backup: Option<BackupName> },
    Prepare { recovery: RecoverySettings, pg_hba: Option<String> },
    Server { action: ServerAction },
}

/// Does what `spec` asks for. Every segment ends with a `SegmentDone` or a `SegmentFailed`.
pub async fn carry_out(spec: &JobSpec, settings: Settings, sink: Sink, cancel: &CancellationToken) -> Result<()> {
    let repository = Repository::open(&settings)?;
    let pool = match spec.work {
        Work::Unpack { .. } | Work::Verify { .. } => fetch_pool(&settings, &repository)?,
        _ => push_pool(&settings, &repository)?,
    };
    let shared = Arc::new(Shared { settings, repository, pool, cancel: cancel.child_token() });
    let tasks = tasks(&spec.work, spec.segments.len())?;
    let running = spec
        .segments
        .iter()
        .zip(tasks)
        .map(|(target, task)| tokio::spawn(run_segment(shared.clone(), target.clone(), task, sink.clone())));
    let mut failure = None;
    for outcome in join_all(running).await {
        if let Err(error) = joined(outcome) {
            keep_first(&mut failure, error);
        }
    }
    failure.map_or(Ok(()), Err)
}

/// One task per segment, in the order of the segments.
fn tasks(work: &Work, segments: usize) -> Result<Vec<Task>> {
    let tasks: Vec<Task> = match work {
        Work::Check => (0..segments).map(|_| Task::Check).collect(),
        Work::SwitchWal => (0..segments).map(|_| Task::SwitchWal).collect(),
        Work::LeaveBackupMode => (0..segments).map(|_| Task::LeaveBackupMode).collect(),
        Work::Push { ids, bases, permanent } => {
            let pairs = ids.iter().cloned().zip(bases.iter().cloned());
            pairs.map(|(id, base)| Task::Push { id, base, permanent: *permanent }).collect()
        }
        Work::CheckAoLength { backups: None } => (0..segments).map(|_| Task::CheckAoLength { backup: None }).collect(),
        Work::CheckAoLength { backups: Some(backups) } => {
            backups.iter().map(|backup| Task::CheckAoLength { backup: Some(backup.clone()) }).collect()
        }
        Work::Unpack { sources, only, tablespaces } => {
            let moves = tablespaces.iter().cloned().map(Places::Moved).chain(std::iter::repeat(Places::Recorded));
            let task = |(backup, tablespaces): (&BackupName, Places)| Task::Unpack {
                backup: backup.clone(),
                only: only.clone(),
                tablespaces,
            };
            sources.iter().zip(moves).map(task).collect()
        }
        Work::Verify { sources } => sources.iter().map(|sources| Task::Verify { sources: sources.clone() }).collect(),
        Work::Prepare { recovery, pg_hba } => {
            (0..segments).map(|_| Task::Prepare { recovery: recovery.clone(), pg_hba: pg_hba.clone() }).collect()
        }
        Work::Server { actions } => actions.iter().map(|action| Task::Server { action: action.clone() }).collect(),
    };
    if tasks.len() == segments {
        return Ok(tasks);
    }
    let what = format!("the job names {segments} segments but has work for {}", tasks.len());
    Err(Error::refused(what, "this is a defect of the coordinator; please report it"))
}

async fn run_segment(shared: Arc<Shared>, target: SegmentTarget, task: Task, sink: Sink) -> Result<()> {
    let monitor = Monitor::new(target.content, sink.clone());
    let mut outcome = run_task(&shared, &target, task.clone(), &monitor).await;
    if let Err(error) = &outcome
        && task.may_be_repeated()
        && again::is_worth_it(error)
        && !shared.cancel.is_cancelled()
    {
        monitor.warn(format!("failed, and is tried once more: {error}"));
        again::make_ready(&task, &shared, &target).await;
        // What the first attempt did is no progress of the second.
        let monitor = Monitor::new(target.content, sink.clone());
        outcome = run_task(&shared, &target, task, &monitor).await;
    }
    match outcome {
        Ok(result) => {
            sink(Event::SegmentDone { content: target.content, result });
            Ok(())
        }
        Err(error) => {
            shared.cancel.cancel();
            sink(Event::SegmentFailed { content: target.content, error: error.report() });
            Err(error)
        }
    }
}

async fn run_task(shared: &Shared, target: &SegmentTarget, task: Task, monitor: &Monitor) -> Result<SegmentResult> {
    let connect = || connect_options(&shared.settings).map(|options| options.with_port(target.port));
    match task {
        Task::Check => {
            check::check(&shared.settings, &shared.repository.segment(target.content), target, connect()?, monitor)
                .await
        }
        Task::Push { id, base, permanent } => {
            let of_segment = push_request(shared, target, connect()?)?;
            let request = PushRequest { backup_id: Some(id), base, permanent, ..of_segment };
            let repository = shared.repository.segment(target.content);
            let pushed = push(&repository, &request, &shared.pool, monitor, &shared.cancel).await?;
            Ok(SegmentResult::Pushed(pushed))
        }
        Task::SwitchWal => switch_wal(connect()?).await,
        Task::LeaveBackupMode => {
            let server = Server::connect_segment(&connect()?).await?;
            if server.is_in_backup().await? {
                server.leave_backup_mode().await?;
            }
            Ok(SegmentResult::LeftBackupMode)
        }
        Task::CheckAoLength { backup } => {
            let repository = shared.repository.segment(target.content);
            check_lengths(&repository, target, &connect()?, backup.as_ref()).await
        }
        Task::Unpack { backup, only, tablespaces } => {
            let request = FetchRequest::new(backup, target.data_dir.clone(), true);
            run_fetch(shared, target, FetchRequest { only, tablespaces, ..request }, monitor).await
        }
        Task::Prepare { recovery, pg_hba } => {
            prepare::prepare(&shared.settings, target, &recovery, pg_hba.as_deref())?;
            Ok(SegmentResult::Prepared)
        }
        Task::Verify { sources } => verify::run(shared, target, &sources, monitor).await,
        Task::Server { action } => {
            let place = Place { settings: &shared.settings, target, monitor, cancel: &shared.cancel };
            Ok(SegmentResult::Server(server::act(&place, action).await?))
        }
    }
}

/// What the settings say of a backup of `target`.
fn push_request(shared: &Shared, target: &SegmentTarget, connect: ConnectOptions) -> Result<PushRequest> {
    let control = crate::data_dir::read_control(&target.data_dir)?;
    crate::data_dir::refuse_contradictions(&shared.settings, &control)?;
    Ok(PushRequest {
        data_dir: target.data_dir.clone(),
        connect,
        backup_id: None,
        user_data: None,
        permanent: false,
        base: None,
        delta_count: None,
        part_bytes: part_bytes(&shared.settings)?,
        // The coordinator proves the archive up to the restore point.
        wait_for_archive: false,
        stop_timeout: stop_timeout(&shared.settings)?,
        with_names: !shared.settings.bool("WALG_DISABLE_PARTIAL_RESTORE")?,
        shared: Some(shared_limits(&shared.settings)?),
    })
}

async fn run_fetch(
    shared: &Shared,
    target: &SegmentTarget,
    request: FetchRequest,
    monitor: &Monitor,
) -> Result<SegmentResult> {
    let durable = !shared.settings.bool("WALG_TAR_DISABLE_FSYNC")?;
    let request = FetchRequest { durable, ..request };
    let repository = shared.repository.segment(target.content);
    let fetched = fetch(&repository, &request, &shared.pool, monitor, &shared.cancel).await?;
    Ok(SegmentResult::Unpacked { files: fetched.files, bytes: fetched.bytes, kept_files: fetched.kept_files })
}

async fn switch_wal(connect: ConnectOptions) -> Result<SegmentResult> {
    let server = Server::connect_segment(&connect).await?;
    let switched = server.switch_wal().await?;
    Ok(SegmentResult::Switched { timeline: switched.timeline, lsn: switched.lsn })
}
