//! Waiting for the end of a recovery, and the proof that it ended at its restore point and not before.
//!
//! Servers before PostgreSQL 13 that run out of log before their restore point end recovery all the same. What they write about
//! it stands in the history of their new timeline: `at restore point "NAME"`.

use std::time::{Duration, Instant};

use formats::server::{ServerPhase, ServerState};
use pgclient::Server;
use pgdata::{Lsn, SegmentSize, WalName};

use super::state::{look_closely, postmaster, wal_folder};
use super::{Place, log};
use crate::error::{Error, Result};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often a waiting server's lag is told.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Waits until the server serves, is paused, or has shut down, as its settings say.
pub async fn await_end(place: &Place<'_>, target: Option<Lsn>) -> Result<ServerState> {
    let mut lag = Lag::new(target);
    loop {
        let (state, server) = look_closely(place).await?;
        let name = state.target_name.clone().unwrap_or_default();
        match state.phase {
            ServerPhase::Serving => {
                must_have_reached(place, &name)?;
                lag.arrived(place);
                return Ok(state);
            }
            ServerPhase::Paused | ServerPhase::ShutDownInRecovery => return Ok(state),
            ServerPhase::Stopped => return Err(ended_early(place, &name)),
            ServerPhase::Recovering => lag.tell(place, &state, server.as_ref()).await,
        }
        lag.wait(place).await?;
    }
}

/// Waits until the server has shut itself down at its restore point.
pub async fn await_shutdown(place: &Place<'_>, target: Option<Lsn>, timeout_seconds: u64) -> Result<ServerState> {
    let mut lag = Lag::new(target);
    loop {
        let (state, server) = look_closely(place).await?;
        let name = state.target_name.clone().unwrap_or_default();
        match state.phase {
            ServerPhase::ShutDownInRecovery => {
                lag.arrived(place);
                return Ok(state);
            }
            ServerPhase::Stopped => return Err(ended_early(place, &name)),
            ServerPhase::Serving => {
                let what = format!("the server on {} has left recovery instead of shutting down at {name}", dir(place));
                return Err(Error::refused(what, "restore this segment anew to follow the source again"));
            }
            ServerPhase::Paused | ServerPhase::Recovering => lag.tell(place, &state, server.as_ref()).await,
        }
        if lag.begin.elapsed().as_secs() >= timeout_seconds {
            let what = format!(
                "the server on {} has not reached {name} after {timeout_seconds} s: {}",
                dir(place),
                lag.text()
            );
            return Err(Error::refused(
                what,
                "it recovers on; run the command again to wait longer, or raise --timeout",
            ));
        }
        lag.wait(place).await?;
    }
}

fn dir<'a>(place: &'a Place<'_>) -> std::path::Display<'a> {
    place.target.data_dir.display()
}

fn ended_early(place: &Place<'_>, point: &str) -> Error {
    let what = format!(
        "the server on {} ended before it reached the restore point {point}; {}",
        dir(place),
        log::tail(&place.target.data_dir)
    );
    let remedy = "if log is missing, see `seg wal-verify` and the archive; when the cause is removed, run the same command again";
    Error::refused(what, remedy)
}

/// An error unless the history of the newest timeline says that recovery ended at `point`.
pub fn must_have_reached(place: &Place<'_>, point: &str) -> Result<()> {
    let folder = wal_folder(&place.target.data_dir);
    let names = std::fs::read_dir(&folder).map_err(|error| Error::file("listing", &folder, error))?;
    let names = names.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let newest = names.filter(|name| name.ends_with(".history") && name.len() == "00000002.history".len()).max();
    let reason = match &newest {
        None => "its log has no history of a timeline".to_owned(),
        Some(name) => {
            let path = folder.join(name);
            let text = std::fs::read_to_string(&path).map_err(|error| Error::file("reading", &path, error))?;
            let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
            if last.contains(&format!("restore point \"{point}\"")) {
                return Ok(());
            }
            format!("{name} says {last:?}")
        }
    };
    let what = format!("the recovery of {} did not end at the restore point {point}: {reason}", dir(place));
    let remedy = "the archive lacks log up to that point: see which files are missing, or restore to an earlier point";
    Err(Error::refused(what, remedy))
}

/// How far a recovery is, and when that is told.
struct Lag {
    begin: Instant,
    said: Option<Instant>,
    pause: Duration,
    target: Option<Lsn>,
    from: Option<Lsn>,
    replayed: Option<Lsn>,
}

impl Lag {
    fn new(target: Option<Lsn>) -> Self {
        Self { begin: Instant::now(), said: None, pause: FIRST_PAUSE, target, from: None, replayed: None }
    }

    async fn tell(&mut self, place: &Place<'_>, state: &ServerState, server: Option<&Server>) {
        let replayed = match server {
            Some(server) => server.replayed().await.ok().flatten(),
            None => replayed_by_title(place, state.segment_size_bytes),
        };
        self.replayed = self.replayed.max(replayed).max(Some(state.redo_lsn));
        if self.from.is_none() {
            self.from = self.replayed;
            if let (Some(from), Some(target)) = (self.from, self.target) {
                place.monitor.set_total(target.0.saturating_sub(from.0));
            }
        }
        let done = self.replayed.unwrap_or_default().0.saturating_sub(self.from.unwrap_or_default().0);
        place.monitor.add_done(done.saturating_sub(place.monitor.done_bytes()));
        if self.said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            self.said = Some(Instant::now());
            place.monitor.phase(self.text());
        }
    }

    fn text(&self) -> String {
        let replayed = self.replayed.map_or_else(|| "nothing yet".to_owned(), |lsn| lsn.to_string());
        match self.target {
            None => format!("recovering; replayed up to {replayed}"),
            Some(target) => {
                let behind = target.0.saturating_sub(self.replayed.unwrap_or_default().0);
                format!("recovering; replayed up to {replayed} of {target}, {behind} bytes of log to go")
            }
        }
    }

    fn arrived(&self, place: &Place<'_>) {
        if let (Some(from), Some(target)) = (self.from, self.target) {
            let total = target.0.saturating_sub(from.0);
            place.monitor.add_done(total.saturating_sub(place.monitor.done_bytes()));
            place.monitor.flush();
        }
    }

    async fn wait(&mut self, place: &Place<'_>) -> Result<()> {
        tokio::select! {
            () = tokio::time::sleep(self.pause) => {}
            () = place.cancel.cancelled() => return Err(Error::Cancelled),
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

/// A server that takes no sessions shows the file it replays in the title of its start-up process.
fn replayed_by_title(place: &Place<'_>, segment_size_bytes: u64) -> Option<Lsn> {
    let pid = postmaster(&place.target.data_dir)?;
    let size = SegmentSize::new(segment_size_bytes).ok()?;
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    let titles = children.split_whitespace().filter_map(|child| std::fs::read(format!("/proc/{child}/cmdline")).ok());
    titles.into_iter().find_map(|title| replayed_in(&String::from_utf8_lossy(&title), size))
}

/// Start of the file named in `postgres: startup recovering 000000010000000000000003`.
fn replayed_in(title: &str, size: SegmentSize) -> Option<Lsn> {
    let (_, rest) = title.split_once("recovering")?;
    let name = rest.split(|c: char| !c.is_ascii_hexdigit()).find(|word| word.len() == 24)?;
    let name = WalName::parse(name, size).ok()?;
    Some(Lsn(name.segment * size.bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_of_a_recovering_server() {
        let size = SegmentSize::new(64 << 20).unwrap();
        let of = |title| replayed_in(title, size);
        assert_eq!(of("postgres: startup recovering 000000010000000000000003\0\0"), Some(Lsn(3 * (64 << 20))));
        assert_eq!(of("postgres:  7002, startup   recovering 000000010000000000000003"), Some(Lsn(3 * (64 << 20))));
        for title in [
            "",
            "postgres: checkpointer",
            "postgres: startup recovering 00000001",
            "postgres: startup waiting for 000000010000000000000003",
        ] {
            assert_eq!(of(title), None, "{title}");
        }
    }
}
