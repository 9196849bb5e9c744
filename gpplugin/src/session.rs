//! What every command needs: the destination, a runtime for the network, and the wish to stop.

use std::path::Path;

use segment_agent::bridge::Driver;
use segment_agent::error::{Error, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::Options;
use crate::destination::Destination;

pub struct Session {
    pub destination: Destination,
    pub driver: Driver,
    /// Set by SIGINT, SIGTERM and SIGHUP: an unfinished upload is removed.
    pub cancel: CancellationToken,
    /// Carries requests under way.
    runtime: tokio::runtime::Runtime,
}

impl Session {
    pub fn open(config: &Path) -> Result<Self> {
        let destination = Destination::open(&Options::read(config)?)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| Error::file("starting", "the runtime", error))?;
        let driver = {
            let _inside = runtime.enter();
            Driver::current(destination.repository.store())
        };
        let cancel = CancellationToken::new();
        runtime.spawn(watch_signals(cancel.clone()));
        Ok(Self { destination, driver, cancel, runtime })
    }

    /// Waits for something of the storage.
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }
}

async fn watch_signals(cancel: CancellationToken) {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds.map(signal) else { return };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    tracing::warn!("a signal stops this command");
    cancel.cancel();
}
