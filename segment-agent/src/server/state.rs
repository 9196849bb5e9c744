//! How a server stands, from its data directory, its process and its answers. Nothing is changed.

use std::path::{Path, PathBuf};

use formats::DbId;
use formats::server::{ServerPhase, ServerState};
use pgclient::{ErrorKind, Server};
use pgdata::{ClusterState, ControlFile};

use super::{MARKER, Place, files};
use crate::data_dir::read_control;
use crate::error::{Error, Result};

/// First version of pg_control (of PostgreSQL 12) whose servers recover by recovery.signal.
const SIGNAL_FROM: u32 = 1200;

/// SQLSTATE of a question that only a server in recovery answers.
const NOT_IN_RECOVERY: &str = "55000";

/// Servers on whose fork Greenplum stands number their pg_control with four digits more.
const FORK_FACTOR: u32 = 10_000;

/// Whether the server of this control file recovers by `recovery.signal` and ordinary settings.
pub fn by_signal(control: &ControlFile) -> bool {
    let version = control.control_version;
    (if version >= FORK_FACTOR * 100 { version / FORK_FACTOR } else { version }) >= SIGNAL_FROM
}

/// Process id of the server that runs on `data_dir`. A left-over file whose process is gone, or is another program, counts as none.
pub fn postmaster(data_dir: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(data_dir.join("postmaster.pid")).ok()?;
    let pid: u32 = text.lines().next()?.trim().parse().ok()?;
    // A server works in its data directory.
    let cwd = std::fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
    (cwd == std::fs::canonicalize(data_dir).ok()?).then_some(pid)
}

/// The state of a server, and the session by which it was found out, where there is one.
pub async fn look(place: &Place<'_>) -> Result<ServerState> {
    Ok(look_closely(place).await?.0)
}

pub async fn look_closely(place: &Place<'_>) -> Result<(ServerState, Option<Server>)> {
    let dir = &place.target.data_dir;
    if !dir.join("PG_VERSION").exists() {
        let what = format!("{} holds no restored data directory", dir.display());
        return Err(Error::refused(what, "restore the backup there first: damson backup-fetch"));
    }
    let control = read_control(dir)?;
    let settings = files::recovery_settings(place.settings, dir, by_signal(&control))?;
    let mut state = ServerState {
        phase: ServerPhase::Stopped,
        recovery_pending: settings.pending,
        unprepared: dir.join("backup_label").exists() && !settings.pending,
        being_started: dir.join(MARKER).exists(),
        target_name: settings.target_name,
        target_action: settings.target_action,
        timeline: control.timeline,
        redo_lsn: control.redo_lsn,
        segment_size_bytes: control.wal_segment_size.bytes(),
        db_id: db_id(dir),
        archives_with: None,
    };
    if postmaster(dir).is_none() {
        if control.state == ClusterState::ShutDownInRecovery && files::has_worked_since_start(dir)? {
            state.phase = ServerPhase::ShutDownInRecovery;
        }
        return Ok((state, None));
    }
    state.phase = ServerPhase::Recovering;
    // A server that starts or recovers refuses sessions, or takes them as a standby.
    let Ok(server) = place.connect().await else { return Ok((state, None)) };
    match ask(dir, &server, state.clone()).await {
        Ok(answered) => Ok((answered, Some(server))),
        Err(Error::Server(error)) if changed_meanwhile(&error) => Ok((state, None)),
        Err(error) => Err(error),
    }
}

/// The server ended, or left recovery, while it was asked: the next look tells.
fn changed_meanwhile(error: &pgclient::Error) -> bool {
    match error {
        pgclient::Error::Query { sqlstate, .. } => sqlstate == NOT_IN_RECOVERY,
        other => other.kind() == ErrorKind::Lost,
    }
}

/// What `server`, which runs on `dir`, says of itself.
async fn ask(dir: &Path, server: &Server, mut state: ServerState) -> Result<ServerState> {
    crate::data_dir::must_belong_to(dir, server).await?;
    if !server.in_recovery().await? {
        state.phase = ServerPhase::Serving;
        state.timeline = server.timeline().await?;
        let archiving = server.archiving().await?;
        state.archives_with = archiving.is_on().then(|| archiving.library.or(archiving.command)).flatten();
    } else if server.is_replay_paused().await? {
        state.phase = ServerPhase::Paused;
    }
    Ok(state)
}

/// `gp_dbid=2` in internal.auto.conf.
fn db_id(data_dir: &Path) -> Option<DbId> {
    let text = std::fs::read_to_string(data_dir.join("internal.auto.conf")).ok()?;
    files::value_of(&text, "gp_dbid")?.parse().ok().map(DbId)
}

/// Folder of the log: `pg_wal`, before PostgreSQL 10 `pg_xlog`.
pub fn wal_folder(data_dir: &Path) -> PathBuf {
    let new = data_dir.join("pg_wal");
    if new.is_dir() { new } else { data_dir.join("pg_xlog") }
}
