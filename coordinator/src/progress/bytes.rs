//! Progress of work that this process does itself: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use indicatif::{BinaryBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{DRAWS_PER_SECOND, LINE_INTERVAL};

/// Bytes done of bytes to do.
pub struct ByteProgress {
    title: String,
    total: u64,
    bar: Option<ProgressBar>,
    state: Mutex<State>,
}

struct State {
    done: u64,
    last_line: Instant,
}

impl ByteProgress {
    pub fn new(title: &str, total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let target = ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND);
            let bar = ProgressBar::with_draw_target(Some(total), target);
            let template = "{bar:24} {percent:>3}%  {elapsed_precise}  {binary_bytes} of {binary_total_bytes}";
            match ProgressStyle::with_template(template) {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        });
        let state = State { done: 0, last_line: Instant::now() };
        Self { title: title.to_owned(), total, bar, state: Mutex::new(state) }
    }

    pub fn advance(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.done += bytes;
        if state.last_line.elapsed() >= LINE_INTERVAL {
            state.last_line = Instant::now();
            tracing::info!("{}: {} of {}", self.title, BinaryBytes(state.done), BinaryBytes(self.total));
        }
    }

    /// Takes the bar away.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
