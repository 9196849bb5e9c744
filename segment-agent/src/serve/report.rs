//! What became of the jobs of a host, read from their directories: nothing is asked of the processes, so that it works also
//! when the coordinator that started them is gone.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::time::Duration;

use formats::ContentId;
use formats::wire::{Event, JobReport, JobState, JournalEntry, Outcome, SegmentReport};

use super::job_directory::JobDirectory;
use super::journal::unix_millis;
use super::state_directory::StateDirectory;

/// Jobs that ended earlier are not told.
const TOLD_FOR: Duration = Duration::from_secs(24 * 3600);

/// Jobs that run, and those that ended within the last day; newest first. What cannot be read is left out.
pub fn reports(state: &StateDirectory) -> Vec<JobReport> {
    let oldest = unix_millis() - i64::try_from(TOLD_FOR.as_millis()).unwrap_or(i64::MAX);
    let mut reports: Vec<_> = state.jobs_of_host().iter().filter_map(report).collect();
    reports.retain(|report| matches!(report.state, JobState::Running) || report.last_millis >= oldest);
    reports.sort_by_key(|report| std::cmp::Reverse(report.started_millis));
    reports
}

fn report(directory: &JobDirectory) -> Option<JobReport> {
    // Before the journal is read: a job that ends meanwhile is not taken for one that died.
    let is_alive = directory.is_alive().unwrap_or(false);
    let order = directory.order().ok()?;
    let mut reading = Reading::default();
    for target in &order.spec.segments {
        let segment = SegmentReport { content: target.content, ..SegmentReport::default() };
        reading.segments.insert(target.content, segment);
    }
    if let Ok(file) = std::fs::File::open(directory.journal_path()) {
        // The last line may be only half written yet.
        for line in BufReader::new(file).lines().map_while(Result::ok) {
            if let Ok(entry) = serde_json::from_str(&line) {
                reading.take(entry);
            }
        }
    }
    let state = match reading.outcome {
        Some(outcome) => JobState::Ended(outcome),
        None if is_alive => JobState::Running,
        None => JobState::Died { last_printed: directory.last_printed() },
    };
    Some(JobReport {
        job: order.job,
        work: work_name(&order.spec.work),
        state,
        started_millis: reading.first_millis.unwrap_or_default(),
        last_millis: reading.last_millis.unwrap_or_default(),
        segments: reading.segments.into_values().collect(),
    })
}

#[derive(Default)]
struct Reading {
    first_millis: Option<i64>,
    last_millis: Option<i64>,
    outcome: Option<Outcome>,
    segments: BTreeMap<ContentId, SegmentReport>,
}

impl Reading {
    fn take(&mut self, entry: JournalEntry) {
        self.first_millis.get_or_insert(entry.at_millis);
        self.last_millis = Some(entry.at_millis);
        match entry.event {
            Event::Phase { content, text } => self.segment(content).phase = text,
            Event::Progress { content, done_bytes, total_bytes } => {
                let segment = self.segment(content);
                (segment.done_bytes, segment.total_bytes) = (done_bytes, total_bytes);
            }
            Event::SegmentDone { content, .. } => self.segment(content).is_done = true,
            Event::SegmentFailed { content, error } => self.segment(content).error = Some(error.message),
            Event::Finished { outcome, .. } => self.outcome = Some(outcome),
            _ => {}
        }
    }

    fn segment(&mut self, content: ContentId) -> &mut SegmentReport {
        self.segments.entry(content).or_insert_with(|| SegmentReport { content, ..SegmentReport::default() })
    }
}

/// `push`, `switch_wal`: as the work is called in messages.
fn work_name(work: &impl serde::Serialize) -> String {
    match serde_json::to_value(work) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(serde_json::Value::Object(object)) => object.keys().next().cloned().unwrap_or_default(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use formats::wire::{ErrorReport, JobId, JobSpec, SegmentTarget, Work};

    use super::super::{JobOrder, Journal, run_job};
    use super::*;

    fn job(state: &StateDirectory, id: &str, work: Work) -> JobDirectory {
        let target = SegmentTarget { content: ContentId(0), port: 1, data_dir: PathBuf::from("/d") };
        let spec = JobSpec { config: PathBuf::from("/c"), segments: vec![target], work };
        state.create(&JobOrder { job: JobId(id.to_owned()), lease_seconds: 60, spec }).unwrap().unwrap()
    }

    #[tokio::test]
    async fn running_ended_and_dead_jobs() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDirectory::new(folder.path());
        assert_eq!(reports(&state), []);

        let ended = job(&state, "ended", Work::Check);
        let failing = |_, journal: Journal, _| async move {
            journal.record(Event::Phase { content: ContentId(0), text: "checking".to_owned() });
            let error = ErrorReport { message: "no".to_owned(), remedy: None };
            journal.record(Event::SegmentFailed { content: ContentId(0), error: error.clone() });
            Outcome::Failed { error }
        };
        run_job(&ended, failing).await.unwrap();

        let running =
            job(&state, "running", Work::Unpack { sources: Vec::new(), only: Vec::new(), tablespaces: Vec::new() });
        let lock = running.lock().unwrap();
        let journal = Journal::create(&running.journal_path()).unwrap();
        journal.record(Event::Started { pid: 1 });
        journal.record(Event::Progress { content: ContentId(0), done_bytes: 3, total_bytes: 9 });

        let told = reports(&state);
        let of = |id: &str| told.iter().find(|report| report.job.0 == id).unwrap().clone();
        assert!(matches!(of("ended").state, JobState::Ended(Outcome::Failed { .. })), "{told:?}");
        assert_eq!((of("ended").work.as_str(), of("ended").segments[0].phase.as_str()), ("check", "checking"));
        assert_eq!(of("ended").segments[0].error.as_deref(), Some("no"));
        assert_eq!((of("running").state, of("running").work.as_str()), (JobState::Running, "unpack"));
        assert_eq!((of("running").segments[0].done_bytes, of("running").segments[0].total_bytes), (3, 9));

        drop(lock);
        let told = reports(&state);
        assert!(told.iter().any(|report| matches!(report.state, JobState::Died { .. })), "{told:?}");
    }
}
