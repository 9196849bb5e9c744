//! What a person sees while a command runs on all hosts: one bar for the cluster on a terminal, a line now and then elsewhere.
//!
//! [`Progress::observe`] is the observer of a fan-out. Warnings always get a line; so do phases where there is no bar.

mod bytes;
mod text;
mod totals;

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use formats::wire::{Event, JournalEntry};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

pub use self::bytes::ByteProgress;
use self::text::{describe, describe_line};
use self::totals::Totals;
use crate::host::HostName;

/// Between two lines about bytes.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
const DRAWS_PER_SECOND: u8 = 5;
const DRAW_INTERVAL: Duration = Duration::from_millis(200);
/// A bar of more steps than a terminal has columns; bytes may be unknown at first.
const BAR_STEPS: u64 = 1000;

pub struct Progress {
    /// "push", "unpack": what is being done.
    title: String,
    begin: Instant,
    totals: Totals,
    bar: Option<ProgressBar>,
    last_shown: Duration,
}

impl Progress {
    /// Draws on standard error if it is a terminal; logs lines otherwise.
    pub fn new(title: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(new_bar);
        Self {
            title: title.to_owned(),
            begin: Instant::now(),
            totals: Totals::default(),
            bar,
            last_shown: Duration::ZERO,
        }
    }

    /// Takes in an event of a host.
    pub fn observe(&mut self, host: &HostName, entry: &JournalEntry) {
        let now = self.begin.elapsed();
        self.totals.observe(now, host, &entry.event);
        self.say(host, &entry.event);
        // A snapshot looks at every segment, and a thousand of them tell thousands of events a second.
        let interval = if self.bar.is_some() { DRAW_INTERVAL } else { LINE_INTERVAL };
        if now.saturating_sub(self.last_shown) >= interval {
            self.show(now);
        }
    }

    /// Runs `print` while the bar is out of the way.
    pub fn suspend<R>(&self, print: impl FnOnce() -> R) -> R {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Takes the bar away.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    fn say(&self, host: &HostName, event: &Event) {
        match event {
            Event::Warning { content: Some(content), text } => {
                self.suspend(|| tracing::warn!(%host, content_id = content.0, "{text}"));
            }
            Event::Warning { content: None, text } => self.suspend(|| tracing::warn!(%host, "{text}")),
            // On a terminal the bar shows it.
            Event::Phase { content, text } if self.bar.is_none() => {
                tracing::info!(%host, content_id = content.0, "{text}");
            }
            _ => {}
        }
    }

    fn show(&mut self, now: Duration) {
        let snapshot = self.totals.snapshot(now);
        match &self.bar {
            Some(bar) => {
                bar.set_position(snapshot.steps(BAR_STEPS));
                bar.set_message(describe(&self.title, &snapshot));
            }
            None if snapshot.total_bytes == 0 => return,
            None => tracing::info!("{}", describe_line(&self.title, &snapshot)),
        }
        self.last_shown = now;
    }
}

fn new_bar() -> ProgressBar {
    let target = ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND);
    let bar = ProgressBar::with_draw_target(Some(BAR_STEPS), target);
    match ProgressStyle::with_template("{bar:24} {percent:>3}%  {elapsed_precise}  {wide_msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
