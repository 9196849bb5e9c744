//! Starting and stopping a server.
//!
//! Before a start to recover: the server's files are adapted, then the marker is written. Before a start to serve: the end of
//! the recovery is proved, the server is stopped if it runs for another purpose, the recovery settings are taken away, and the
//! marker last. A run that dies anywhere in between is gone on with by the next.

use std::time::{Duration, Instant};

use formats::server::{Archiving, Purpose, ServerPhase, ServerState};

use super::state::{look, postmaster};
use super::{Place, command, files, log, recovery};
use crate::data_dir::read_control;
use crate::error::{Error, Result};

const PAUSE: Duration = Duration::from_millis(100);

/// A server writes postmaster.pid before anything else that takes time.
const APPEARS_WITHIN: Duration = Duration::from_secs(30);

pub async fn start(place: &Place<'_>, purpose: Purpose, archiving: Archiving) -> Result<ServerState> {
    let state = look(place).await?;
    let dir = &place.target.data_dir;
    let runs = postmaster(dir).is_some();
    match purpose {
        _ if state.unprepared => return Err(unprepared(place)),
        Purpose::Recovery | Purpose::Follow if runs => return Ok(state),
        Purpose::Recovery | Purpose::Follow => {
            place.monitor.phase("starting to recover");
            files::adapt(place, archiving)?;
            files::mark(dir)?;
        }
        Purpose::Service if runs && !state.being_started => return Ok(state),
        Purpose::Service => {
            if state.recovery_pending {
                let what = format!("the recovery of {} is not over", dir.display());
                return Err(Error::refused(what, "run damson cluster-start again"));
            }
            // An old server keeps the name of its point for ever: only a recovery of ours is judged.
            if let Some(point) = state.target_name.as_ref().filter(|_| state.being_started) {
                recovery::must_have_reached(place, point)?;
            }
            stop(place).await?;
            place.monitor.phase("starting to serve");
            files::adapt(place, archiving)?;
            files::settle(place)?;
        }
    }
    let role = command::role_options(&read_control(dir)?, place.target.content.0 < 0, purpose);
    let logged = log::start_log_bytes(dir);
    command::run_start(place, role).await?;
    appears(place, logged).await?;
    match purpose {
        Purpose::Service => answers(place).await,
        // Without a recovery the server is only to come up.
        Purpose::Recovery if !state.recovery_pending => answers(place).await,
        Purpose::Recovery | Purpose::Follow => look(place).await,
    }
}

fn unprepared(place: &Place<'_>) -> Error {
    let dir = place.target.data_dir.display();
    let what = format!(
        "{dir} holds an unpacked backup without recovery settings: its server would not stop at a restore point"
    );
    Error::refused(what, "prepare the recovery first: damson backup-fetch --mode prepare")
}

/// Waits until the server's process has shown itself. A server that gives up at once says so in its log, beyond `logged` bytes.
pub async fn appears(place: &Place<'_>, logged: u64) -> Result<()> {
    let dir = &place.target.data_dir;
    let begin = Instant::now();
    while postmaster(dir).is_none() {
        // A recovery to a point that is near may be over before anybody looked.
        if look(place).await?.phase == ServerPhase::ShutDownInRecovery {
            return Ok(());
        }
        if begin.elapsed() > APPEARS_WITHIN || log::gave_up(dir, logged) {
            return Err(did_not_come_up(place));
        }
        pause(place).await?;
    }
    Ok(())
}

/// Waits until the server takes sessions and is not in recovery.
async fn answers(place: &Place<'_>) -> Result<ServerState> {
    let limit = command::timeout(place.settings)?;
    let begin = Instant::now();
    loop {
        let state = look(place).await?;
        match state.phase {
            ServerPhase::Serving => return Ok(state),
            ServerPhase::Stopped | ServerPhase::ShutDownInRecovery => return Err(did_not_come_up(place)),
            ServerPhase::Recovering | ServerPhase::Paused if begin.elapsed() > limit => {
                let what = format!(
                    "the server on {} does not answer after {} s; {}",
                    place.target.data_dir.display(),
                    limit.as_secs(),
                    log::tail(&place.target.data_dir)
                );
                return Err(Error::refused(what, "look into its log; DAMSON_START_TIMEOUT sets the limit"));
            }
            ServerPhase::Recovering | ServerPhase::Paused => pause(place).await?,
        }
    }
}

/// The server of `place` has ended; the end of its log is the reason.
pub fn did_not_come_up(place: &Place<'_>) -> Error {
    let dir = &place.target.data_dir;
    let what = format!("the server on {} did not come up; {}", dir.display(), log::tail(dir));
    Error::refused(what, "remove the cause, then run the same command again: it goes on where it stopped")
}

/// Shuts the server down, if it runs, and waits for its end.
pub async fn stop(place: &Place<'_>) -> Result<()> {
    if postmaster(&place.target.data_dir).is_none() {
        return Ok(());
    }
    place.monitor.phase("stopping");
    command::run_stop(place).await?;
    let limit = command::timeout(place.settings)?;
    let begin = Instant::now();
    while postmaster(&place.target.data_dir).is_some() {
        if begin.elapsed() > limit {
            let what = format!(
                "the server on {} has not stopped after {} s",
                place.target.data_dir.display(),
                limit.as_secs()
            );
            return Err(Error::refused(what, "stop it by hand, then run the same command again"));
        }
        pause(place).await?;
    }
    Ok(())
}

async fn pause(place: &Place<'_>) -> Result<()> {
    tokio::select! {
        () = tokio::time::sleep(PAUSE) => place.refuse_cancelled(),
        () = place.cancel.cancelled() => Err(Error::Cancelled),
    }
}
