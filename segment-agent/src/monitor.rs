//! Where the work on a segment reports what it is doing.
//!
//! A [`Monitor`] is cheap to clone and safe to share between workers. It thins out progress, so that a job of hours keeps a
//! journal of bounded size; phases and warnings always pass.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use formats::ContentId;
use formats::wire::Event;

/// Shortest time between two progress events of one segment, in the first minute; it grows with the time that has passed, so
/// that the journal of a job of many hours stays small.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);
const PROGRESS_INTERVAL_MAX: Duration = Duration::from_secs(5);
const REPORTS_PER_DOUBLING: u32 = 200;

/// Receives events: a journal, a terminal, a test's vector.
pub type Sink = Arc<dyn Fn(Event) + Send + Sync>;

/// Reports of one segment's work.
#[derive(Clone)]
pub struct Monitor {
    content: ContentId,
    sink: Sink,
    counters: Arc<Counters>,
}

struct Counters {
    done_bytes: AtomicU64,
    total_bytes: AtomicU64,
    begin: Instant,
    last_report: Mutex<Option<Instant>>,
}

impl Monitor {
    pub fn new(content: ContentId, sink: Sink) -> Self {
        let counters = Counters {
            done_bytes: AtomicU64::new(0),
            total_bytes: AtomicU64::new(0),
            begin: Instant::now(),
            last_report: Mutex::new(None),
        };
        Self { content, sink, counters: Arc::new(counters) }
    }

    /// Drops everything.
    pub fn silent() -> Self {
        Self::new(ContentId(-1), Arc::new(|_| {}))
    }

    pub fn content(&self) -> ContentId {
        self.content
    }

    /// What happens now, in words for a person.
    pub fn phase(&self, text: impl Into<String>) {
        let text = text.into();
        tracing::info!(content = self.content.0, "{text}");
        (self.sink)(Event::Phase { content: self.content, text });
    }

    /// Odd, but the result is right.
    pub fn warn(&self, text: impl Into<String>) {
        let text = text.into();
        tracing::warn!(content = self.content.0, "{text}");
        (self.sink)(Event::Warning { content: Some(self.content), text });
    }

    /// How many bytes there are to do in all.
    pub fn set_total(&self, bytes: u64) {
        self.counters.total_bytes.store(bytes, Ordering::Relaxed);
        self.report_progress(true);
    }

    /// Adds to what is done.
    pub fn add_done(&self, bytes: u64) {
        self.counters.done_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.report_progress(false);
    }

    /// Reports the final figures whatever the interval says.
    pub fn flush(&self) {
        self.report_progress(true);
    }

    pub fn done_bytes(&self) -> u64 {
        self.counters.done_bytes.load(Ordering::Relaxed)
    }

    fn report_progress(&self, always: bool) {
        {
            let mut last = self.counters.last_report.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let interval = now.duration_since(self.counters.begin) / REPORTS_PER_DOUBLING;
            let interval = interval.clamp(PROGRESS_INTERVAL, PROGRESS_INTERVAL_MAX);
            if !always && last.is_some_and(|then| now.duration_since(then) < interval) {
                return;
            }
            *last = Some(now);
        }
        (self.sink)(Event::Progress {
            content: self.content,
            done_bytes: self.done_bytes(),
            total_bytes: self.counters.total_bytes.load(Ordering::Relaxed),
        });
    }
}
