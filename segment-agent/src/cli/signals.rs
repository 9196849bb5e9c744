//! Turning signals into a wish to stop.

use crate::error::{Error, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The signals that end a command.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { interrupt, terminate, hangup: signal(SignalKind::hangup())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// Cancels `cancel` on the first SIGINT, SIGTERM or SIGHUP; a second one ends the process at once.
pub async fn cancel_on_signals(cancel: CancellationToken) {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::warn!("signals end this command without clean-up: {error}");
            return;
        }
    };
    signals.next().await;
    tracing::warn!(
        "stopping: servers leave backup mode and unfinished uploads are removed; a second signal ends this at once"
    );
    cancel.cancel();
    signals.next().await;
    std::process::exit(1);
}

/// Runs `work` on a runtime of its own, with a token that signals cancel.
pub fn block_on<T>(work: impl AsyncFnOnce(CancellationToken) -> Result<T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Error::file("starting", "the runtime", error))?;
    let done = runtime.block_on(async {
        let cancel = CancellationToken::new();
        let watcher = tokio::spawn(cancel_on_signals(cancel.clone()));
        let done = work(cancel).await;
        watcher.abort();
        done
    });
    runtime.shutdown_background();
    done
}
