//! The journal of a job, written by its process.
//!
//! One write per event, each a whole line, so that a reader sees an event whole or not yet. A process that dies in a write
//! leaves a torn last line, which readers ignore. Nothing follows [`Event::Finished`].

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use formats::wire::{Event, JournalEntry};
use tokio_util::sync::CancellationToken;

use super::lines::append_message;
use super::state_directory::create_private;
use crate::error::{Error, Result};
use crate::monitor::Sink;

/// Cheap to clone; every clone writes the same file.
#[derive(Clone)]
pub struct Journal {
    state: Arc<Mutex<State>>,
    broken: CancellationToken,
}

struct State {
    file: File,
    /// Length of the whole lines: a failed write is cut off again.
    length_bytes: u64,
    next_number: u64,
    is_finished: bool,
}

impl Journal {
    /// A journal without events. Fails if `path` exists: a job runs once.
    pub fn create(path: &Path) -> Result<Self> {
        let file = create_private(path, true).map_err(|source| Error::file("creating", path, source))?;
        Ok(Self::over(file))
    }

    fn over(file: File) -> Self {
        let state = State { file, length_bytes: 0, next_number: 0, is_finished: false };
        Self { state: Arc::new(Mutex::new(state)), broken: CancellationToken::new() }
    }

    /// Appends an event. One that cannot be written is logged and lost, and unless it is mere progress, the journal is
    /// [`broken`](Self::broken).
    pub fn record(&self, event: Event) {
        let is_progress = matches!(event, Event::Progress { .. });
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_finished {
            return;
        }
        state.is_finished = matches!(event, Event::Finished { .. });
        if let Err(error) = state.append(event) {
            tracing::error!("writing the journal of the job: {error}");
            if !is_progress {
                self.broken.cancel();
            }
        }
    }

    /// For [`Monitor`](crate::monitor::Monitor).
    pub fn sink(&self) -> Sink {
        let journal = self.clone();
        Arc::new(move |event| journal.record(event))
    }

    /// Cancelled once an event was lost: the coordinator cannot learn the truth any more, so the job must not go on.
    pub fn broken(&self) -> &CancellationToken {
        &self.broken
    }
}

impl State {
    fn append(&mut self, event: Event) -> std::io::Result<()> {
        let entry = JournalEntry { number: self.next_number, at_millis: unix_millis(), event };
        let mut line = Vec::new();
        append_message(&mut line, &entry)?;
        if let Err(error) = self.file.write_all(&line) {
            let _ = self.file.set_len(self.length_bytes);
            return Err(error);
        }
        self.length_bytes += line.len() as u64;
        self.next_number += 1;
        Ok(())
    }
}

pub(super) fn unix_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use formats::ContentId;

    use super::*;

    #[test]
    fn a_lost_event_breaks_the_journal_and_lost_progress_does_not() {
        // As good as a full disk: every write fails.
        let journal = Journal::over(File::open("/dev/null").unwrap());
        journal.record(Event::Progress { content: ContentId(0), done_bytes: 1, total_bytes: 2 });
        assert!(!journal.broken().is_cancelled());
        journal.record(Event::Phase { content: ContentId(0), text: "copying".to_owned() });
        assert!(journal.broken().is_cancelled());
    }
}
