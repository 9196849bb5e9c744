//! What a job's specification asks for, done.

use formats::wire::{Event, JobSpec, Outcome};
use settings::{Kind, Request, Settings};
use tokio_util::sync::CancellationToken;

use super::journal::Journal;
use crate::error::{Error, Result};
use crate::logs;

/// Does the work of `spec`; for [`run_job`](super::run_job).
pub async fn execute(spec: JobSpec, journal: Journal, cancel: CancellationToken) -> Outcome {
    let done = match prepare(&spec, &journal) {
        Ok(settings) => dispatch(&spec, &settings, &journal, &cancel).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => Outcome::Done,
        Err(Error::Cancelled) => Outcome::Cancelled { why: Error::Cancelled.to_string() },
        Err(error) => Outcome::Failed { error: error.report() },
    }
}

/// Settings of this host, with logs as they say.
fn prepare(spec: &JobSpec, journal: &Journal) -> Result<Settings> {
    let request = Request { config: Some(spec.config.clone()), flags: Vec::new(), kind: Kind::Greenplum };
    let settings = Settings::load(&request, &|name| std::env::var(name).ok())?;
    logs::install_from(&|name| settings.get(name).map(str::to_owned))?;
    for warning in settings.warnings() {
        journal.record(Event::Warning { content: None, text: warning.clone() });
    }
    Ok(settings)
}

async fn dispatch(spec: &JobSpec, _settings: &Settings, _journal: &Journal, _cancel: &CancellationToken) -> Result<()> {
    let what = format!("this agent cannot do {:?}", spec.work);
    Err(Error::refused(what, "install an agent that can: damson hosts install"))
}
