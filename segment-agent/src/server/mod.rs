//! The server of one restored segment: how it stands, starting and stopping it, waiting for its recovery, its catalog, its rows,
//! its replica.
//!
//! Every action may be repeated. What decides is what stands on disk and what the server answers: recovery settings that are
//! there mean a recovery that is not over, and [`MARKER`] means a server that was started to recover and not yet to serve.

mod answer;
mod catalog;
mod command;
mod files;
mod log;
mod recovery;
mod replica;
mod replicas;
mod rows;
mod start;
mod state;

use std::path::Path;

use formats::server::{ServerAction, ServerResult};
use formats::wire::SegmentTarget;
use pgclient::{ConnectOptions, Server};
use settings::Settings;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::work::connect_options;

/// Present in a data directory from before its server is started to recover until it is started to serve.
pub const MARKER: &str = "damson.starting";

/// Database that every server has.
const DATABASE: &str = "postgres";

/// One server and what is needed to deal with it.
pub struct Place<'a> {
    pub settings: &'a Settings,
    pub target: &'a SegmentTarget,
    pub monitor: &'a Monitor,
    pub cancel: &'a CancellationToken,
}

/// Does `action`.
pub async fn act(place: &Place<'_>, action: ServerAction) -> Result<ServerResult> {
    Ok(match action {
        ServerAction::Look => ServerResult::State(state::look(place).await?),
        ServerAction::Start { purpose, archiving } => {
            ServerResult::State(start::start(place, purpose, archiving).await?)
        }
        ServerAction::AwaitRecovery { target } => ServerResult::State(recovery::await_end(place, target).await?),
        ServerAction::AwaitShutdown { target, timeout_seconds } => {
            ServerResult::State(recovery::await_shutdown(place, target, timeout_seconds).await?)
        }
        ServerAction::Stop => {
            start::stop(place).await?;
            ServerResult::State(state::look(place).await?)
        }
        ServerAction::StopIfThere => {
            start::stop(place).await?;
            ServerResult::Done
        }
        ServerAction::MustBeEmpty => {
            must_be_empty(&place.target.data_dir)?;
            ServerResult::Done
        }
        ServerAction::Catalog { rows, replicas, rewrite } => catalog::compare(place, &rows, &replicas, rewrite).await?,
        ServerAction::Enlist { replicas } => ServerResult::Enlisted(replicas::enlist(place, &replicas).await?),
        ServerAction::Seed { source, db_id } => ServerResult::State(replica::seed(place, &source, db_id).await?),
        ServerAction::Probe { replicas } => ServerResult::Up(replicas::probe(place, &replicas).await?),
        ServerAction::Answer { primaries } => ServerResult::State(answer::answer(place, primaries).await?),
        ServerAction::SetRecoveryAction { action } => {
            files::set_recovery_action(place, &action)?;
            ServerResult::Done
        }
        ServerAction::CountRows => ServerResult::Rows(rows::count(place).await?),
        ServerAction::Remove => {
            remove(place).await?;
            ServerResult::Done
        }
    })
}

impl Place<'_> {
    /// The server runs on this host, whatever host the settings name.
    fn options(&self) -> Result<ConnectOptions> {
        let options = connect_options(self.settings)?;
        Ok(options.with_host("localhost").with_port(self.target.port).with_database(DATABASE))
    }

    async fn connect(&self) -> Result<Server> {
        Ok(Server::connect_segment(&self.options()?).await?)
    }

    fn refuse_cancelled(&self) -> Result<()> {
        if self.cancel.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

fn must_be_empty(dir: &Path) -> Result<()> {
    let mut entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::file("listing", dir, error)),
    };
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(Error::refused(
            format!("{} is not empty: a drill removes its directories at the end", dir.display()),
            "empty it yourself, or give another directory",
        )),
    }
}

async fn remove(place: &Place<'_>) -> Result<()> {
    let dir = &place.target.data_dir;
    if state::postmaster(dir).is_some() {
        return Err(Error::refused(
            format!("the server on {} runs: its directory is not removed", dir.display()),
            "stop it, then remove the directory",
        ));
    }
    match tokio::fs::remove_dir_all(dir).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file("removing", dir, error)),
        _ => Ok(()),
    }
}
