//! From a job's specification to its outcome.

use formats::wire::{Event, JobSpec, Outcome};
use settings::{Kind, Settings};
use tokio_util::sync::CancellationToken;

use super::journal::Journal;
use crate::error::{Error, Result};
use crate::{cli, segment_logs, work};

/// Does the work of `spec`; for [`run_job`](super::run_job).
pub async fn execute(spec: JobSpec, journal: Journal, cancel: CancellationToken) -> Outcome {
    let done = match load_settings(&spec, &journal) {
        Ok(settings) => {
            let contents = spec.segments.iter().map(|segment| segment.content);
            let sink = segment_logs::copied(&settings, contents, journal.sink());
            work::carry_out(&spec, settings, sink, &cancel).await
        }
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => Outcome::Done,
        Err(Error::Cancelled) => Outcome::Cancelled { why: Error::Cancelled.to_string() },
        Err(error) => Outcome::Failed { error: error.report() },
    }
}

/// The settings of this host; what is odd about them is told.
fn load_settings(spec: &JobSpec, journal: &Journal) -> Result<Settings> {
    let settings = cli::load_settings(Some(spec.config.clone()), Vec::new(), Kind::Greenplum)?;
    for warning in settings.warnings() {
        journal.record(Event::Warning { content: None, text: warning.clone() });
    }
    Ok(settings)
}
