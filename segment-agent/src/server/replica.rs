//! A mirror or the standby, made of its running primary.
//!
//! The copy is made beside the data directory and renamed when it is whole; [`SEEDED`] stands in it until it streams. Directories
//! with anything else in them are never touched.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use formats::DbId;
use formats::server::{Archiving, Purpose, ServerPhase, ServerState, Source};
use pgclient::Server;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use super::state::{look, postmaster};
use super::{Place, command, files, log, must_be_empty, start};
use crate::data_dir::read_control;
use crate::error::{Error, Result};
use crate::work::prepare::replace;

/// Present in a data directory that was copied whole and has not streamed yet.
const SEEDED: &str = "damson.seeded";

/// End of the name of the directory in which a copy is made.
const STAGING: &str = ".damson-seed";

/// The slot that Greenplum's own tools use, so that a primary keeps the log that its mirror has not got yet.
const SLOT: &str = "internal_wal_replication_slot";

const PAUSE: Duration = Duration::from_millis(250);
const SHOWN_LINES: usize = 15;

/// A replica of `source`, running and fed by it. What an earlier run has done is kept.
pub async fn seed(place: &Place<'_>, source: &Source, db_id: DbId) -> Result<ServerState> {
    let dir = &place.target.data_dir;
    let primary = connect(place, source).await?;
    if postmaster(dir).is_none() {
        if !dir.join(SEEDED).exists() {
            refuse_files_of_others(dir)?;
            primary.ensure_replication_slot(SLOT).await?;
            copy(place, source, db_id, &primary).await?;
        }
        begin(place).await?;
    }
    let state = look(place).await?;
    if state.phase == ServerPhase::Serving {
        let what = format!("the server on {} is no replica: it takes changes of its own", dir.display());
        return Err(Error::refused(what, "correct the restore config"));
    }
    streams(place, &primary).await?;
    files::remove_if_there(&dir.join(SEEDED))?;
    Ok(state)
}

async fn connect(place: &Place<'_>, source: &Source) -> Result<Server> {
    let options = place.options()?.with_host(&source.hostname).with_port(source.port);
    Ok(Server::connect_segment(&options).await?)
}

fn refuse_files_of_others(dir: &Path) -> Result<()> {
    must_be_empty(dir).map_err(|_| {
        let what = format!("{} is not empty: no replica is made in it", dir.display());
        Error::refused(what, "move it away, or name another directory in the restore config")
    })
}

fn staging(dir: &Path) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(STAGING);
    name.into()
}

/// Runs DAMSON_SEED_COMMAND to its end and puts the copy where it belongs.
async fn copy(place: &Place<'_>, source: &Source, db_id: DbId, primary: &Server) -> Result<()> {
    let dir = &place.target.data_dir;
    let staging = staging(dir);
    match tokio::fs::remove_dir_all(&staging).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::file("removing", &staging, error));
        }
        _ => {}
    }
    if let Some(parent) = dir.parent() {
        std::fs::create_dir_all(parent).map_err(|error| Error::file("making", parent, error))?;
    }
    place.monitor.phase(format!("copying {}:{}", source.hostname, source.port));
    let values = command::Seeding {
        data_dir: &staging,
        source,
        db_id,
        slot: SLOT,
        verifies_checksums: primary.version_num() >= 120_000,
    };
    run(place, command::seed(place, &values)?).await?;
    replace(&staging.join(SEEDED), "")?;
    std::fs::rename(&staging, dir).map_err(|error| Error::file("renaming the copy to", dir, error))
}

/// Runs a command that tells its progress as pg_basebackup does. Cancelled, all its processes are ended.
async fn run(place: &Place<'_>, mut command: tokio::process::Command) -> Result<()> {
    let fail = |why: String| {
        Error::refused(
            format!("DAMSON_SEED_COMMAND failed: {why}"),
            "remove the cause, then run the same command again",
        )
    };
    let mut child = command.spawn().map_err(|error| fail(error.to_string()))?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(nix::unistd::Pid::from_raw);
    let told = child.stderr.take();
    let watched = async {
        let end = match told {
            Some(told) => watch(place, told).await,
            None => Vec::new(),
        };
        (child.wait().await, end)
    };
    tokio::select! {
        (status, end) = watched => match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(fail(format!("{status}; it said:\n  {}", end.join("\n  ")))),
            Err(error) => Err(fail(error.to_string())),
        },
        () = place.cancel.cancelled() => {
            // It is gone already, or goes now.
            let _ = group.map(|group| nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGTERM));
            Err(Error::Cancelled)
        }
    }
}

/// Reads lines to the end; those of progress are shown, the last others are returned.
async fn watch(place: &Place<'_>, told: impl AsyncRead + Unpin) -> Vec<String> {
    let mut end = VecDeque::new();
    let mut reader = BufReader::new(told);
    let mut line = Vec::new();
    let mut done = 0;
    loop {
        line.clear();
        // Older servers' programs end a line of progress with a carriage return alone.
        match reader.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return end.into(),
            Ok(_) => {}
        }
        for text in String::from_utf8_lossy(&line).split(['\r', '\n']).map(str::trim).filter(|text| !text.is_empty()) {
            match progress(text) {
                Some((so_far, total)) => {
                    place.monitor.set_total(total.max(so_far));
                    place.monitor.add_done(so_far.saturating_sub(done));
                    done = done.max(so_far);
                }
                None => {
                    end.push_back(text.to_owned());
                    while end.len() > SHOWN_LINES {
                        end.pop_front();
                    }
                }
            }
        }
    }
}

/// Bytes that `  1234/5678 kB (21%), 0/1 tablespace` tells.
fn progress(line: &str) -> Option<(u64, u64)> {
    let (done, total) = line.split_once(" kB (")?.0.trim().split_once('/')?;
    Some((done.parse::<u64>().ok()?.checked_mul(1024)?, total.parse::<u64>().ok()?.checked_mul(1024)?))
}

/// Starts the copy.
async fn begin(place: &Place<'_>) -> Result<()> {
    let dir = &place.target.data_dir;
    place.monitor.phase("starting the replica");
    files::adapt(place, Archiving::Kept)?;
    let role = command::role_options(&read_control(dir)?, place.target.content.0 < 0, Purpose::Service);
    let logged = log::start_log_bytes(dir);
    command::run_start(place, role).await?;
    start::appears(place, logged).await
}

/// Waits until the primary feeds the replica. As long as that catches up, any time is allowed.
async fn streams(place: &Place<'_>, primary: &Server) -> Result<()> {
    place.monitor.phase("waiting until the replica streams");
    let dir = &place.target.data_dir;
    let limit = command::timeout(place.settings)?;
    let mut since = Instant::now();
    loop {
        match primary.replication_state(SLOT).await?.as_deref() {
            Some("streaming") => return Ok(()),
            Some("catchup") => since = Instant::now(),
            _ => {}
        }
        if postmaster(dir).is_none() {
            return Err(start::did_not_come_up(place));
        }
        if since.elapsed() > limit {
            let what = format!("the replica on {} gets nothing from its primary; {}", dir.display(), log::tail(dir));
            return Err(Error::refused(what, "remove the cause, then run the same command again"));
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = place.cancel.cancelled() => return Err(Error::Cancelled),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_of_every_release() {
        assert_eq!(progress("  1024/2048 kB (50%), 0/1 tablespace"), Some((1 << 20, 2 << 20)));
        assert_eq!(progress("12/5 kB (100%), 1/1 tablespace (/data/base/1/2)"), Some((12 << 10, 5 << 10)));
        for other in
            ["", "pg_basebackup: error: could not connect", "1/2", "a/b kB (1%)", "99999999999999999999/1 kB (0%)"]
        {
            assert_eq!(progress(other), None, "{other}");
        }
    }

    #[test]
    fn the_copy_is_made_beside() {
        assert_eq!(staging(Path::new("/data/gpseg0")), Path::new("/data/gpseg0.damson-seed"));
    }
}
