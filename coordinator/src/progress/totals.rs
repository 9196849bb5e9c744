//! Sums over all segments: bytes, rate, time left, who is slowest. Pure; time is the time since the command began.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use formats::ContentId;
use formats::wire::Event;

use crate::host::HostName;

/// The rate is that of the last while, so that it follows a change and does not jump.
const RATE_WINDOW: Duration = Duration::from_secs(30);
const SAMPLE_INTERVAL: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
pub(super) struct Totals {
    segments: BTreeMap<ContentId, Segment>,
    samples: VecDeque<(Duration, u64)>,
}

#[derive(Debug)]
struct Segment {
    host: HostName,
    done_bytes: u64,
    total_bytes: u64,
    phase: String,
    phase_since: Duration,
    is_over: bool,
}

/// How the cluster stands at a moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Snapshot {
    pub done_bytes: u64,
    pub total_bytes: u64,
    pub bytes_per_second: Option<u64>,
    pub time_left: Option<Duration>,
    /// Segments that are done or failed, of all that were heard of.
    pub over: usize,
    pub segments: usize,
    pub slowest: Option<Slowest>,
    /// What most segments at work do now.
    pub phase: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Slowest {
    pub content: ContentId,
    pub host: HostName,
    pub percent: u64,
    pub phase: String,
}

impl Totals {
    pub(super) fn observe(&mut self, now: Duration, host: &HostName, event: &Event) {
        match event {
            Event::Phase { content, text } => {
                let segment = self.segment(*content, host);
                segment.phase.clone_from(text);
                segment.phase_since = now;
            }
            Event::Progress { content, done_bytes, total_bytes } => {
                let segment = self.segment(*content, host);
                segment.done_bytes = *done_bytes;
                // Files grow and shrink while they are read.
                segment.total_bytes = (*total_bytes).max(*done_bytes);
                self.sample(now);
            }
            Event::SegmentDone { content, .. } => {
                let segment = self.segment(*content, host);
                segment.is_over = true;
                segment.done_bytes = segment.total_bytes;
            }
            Event::SegmentFailed { content, .. } => self.segment(*content, host).is_over = true,
            Event::Started { .. } | Event::Warning { .. } | Event::Finished { .. } => {}
        }
    }

    pub(super) fn snapshot(&self, now: Duration) -> Snapshot {
        let (done_bytes, total_bytes) = self.sums();
        let bytes_per_second = self.rate(now);
        let time_left = bytes_per_second
            .filter(|rate| *rate > 0)
            .map(|rate| Duration::from_secs(total_bytes.saturating_sub(done_bytes).div_ceil(rate)));
        Snapshot {
            done_bytes,
            total_bytes,
            bytes_per_second,
            time_left,
            over: self.segments.values().filter(|segment| segment.is_over).count(),
            segments: self.segments.len(),
            slowest: self.slowest(),
            phase: self.phase(),
        }
    }

    fn segment(&mut self, content: ContentId, host: &HostName) -> &mut Segment {
        self.segments.entry(content).or_insert_with(|| Segment {
            host: host.clone(),
            done_bytes: 0,
            total_bytes: 0,
            phase: String::new(),
            phase_since: Duration::ZERO,
            is_over: false,
        })
    }

    fn sums(&self) -> (u64, u64) {
        self.segments.values().fold((0, 0), |(done, total), segment| {
            (done.saturating_add(segment.done_bytes), total.saturating_add(segment.total_bytes))
        })
    }

    fn sample(&mut self, now: Duration) {
        if self.samples.back().is_some_and(|(at, _)| now.saturating_sub(*at) < SAMPLE_INTERVAL) {
            return;
        }
        self.samples.push_back((now, self.sums().0));
        while self.samples.len() > 2
            && self.samples.front().is_some_and(|(at, _)| now.saturating_sub(*at) > RATE_WINDOW)
        {
            self.samples.pop_front();
        }
    }

    fn rate(&self, now: Duration) -> Option<u64> {
        let (since, before) = self.samples.front()?;
        let millis = now.saturating_sub(*since).as_millis();
        if millis < SAMPLE_INTERVAL.as_millis() {
            return None;
        }
        let bytes = u128::from(self.sums().0.saturating_sub(*before));
        u64::try_from(bytes * 1000 / millis).ok()
    }

    /// The segment at work with the least part done; among equals the one longest in its phase.
    fn slowest(&self) -> Option<Slowest> {
        let at_work = self.segments.iter().filter(|(_, segment)| !segment.is_over);
        let (content, segment) = at_work.min_by_key(|(_, segment)| (segment.permille(), segment.phase_since))?;
        Some(Slowest {
            content: *content,
            host: segment.host.clone(),
            percent: segment.permille() / 10,
            phase: segment.phase.clone(),
        })
    }

    fn phase(&self) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for segment in self.segments.values().filter(|segment| !segment.is_over && !segment.phase.is_empty()) {
            *counts.entry(&segment.phase).or_default() += 1;
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(phase, _)| phase.to_owned()).unwrap_or_default()
    }
}

impl Segment {
    fn permille(&self) -> u64 {
        part(self.done_bytes, self.total_bytes, 1000)
    }
}

impl Snapshot {
    /// How many of `steps` are done.
    pub(super) fn steps(&self, steps: u64) -> u64 {
        part(self.done_bytes, self.total_bytes, steps)
    }
}

fn part(done: u64, total: u64, of: u64) -> u64 {
    match total {
        0 => 0,
        total => u64::try_from(u128::from(done.min(total)) * u128::from(of) / u128::from(total)).unwrap_or(of),
    }
}

#[cfg(test)]
mod tests {
    use formats::wire::{ErrorReport, SegmentResult};

    use super::*;

    fn host(name: &str) -> HostName {
        HostName(name.into())
    }

    fn progress(content: i32, done_bytes: u64, total_bytes: u64) -> Event {
        Event::Progress { content: ContentId(content), done_bytes, total_bytes }
    }

    fn phase(content: i32, text: &str) -> Event {
        Event::Phase { content: ContentId(content), text: text.into() }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn sums_rates_and_time_left() {
        let mut totals = Totals::default();
        totals.observe(at(0), &host("sdw1"), &progress(0, 0, 1000));
        totals.observe(at(0), &host("sdw2"), &progress(1, 0, 3000));
        totals.observe(at(10), &host("sdw1"), &progress(0, 500, 1000));
        totals.observe(at(10), &host("sdw2"), &progress(1, 500, 3000));
        let snapshot = totals.snapshot(at(10));
        assert_eq!((snapshot.done_bytes, snapshot.total_bytes), (1000, 4000));
        assert_eq!((snapshot.bytes_per_second, snapshot.time_left), (Some(100), Some(at(30))));
        assert_eq!(snapshot.steps(1000), 250);
        let slowest = snapshot.slowest.unwrap();
        assert_eq!((slowest.content, slowest.host, slowest.percent), (ContentId(1), host("sdw2"), 16));
    }

    #[test]
    fn the_rate_is_that_of_the_last_while() {
        let mut totals = Totals::default();
        for second in 0..=100 {
            totals.observe(at(second), &host("sdw1"), &progress(0, second * 10, 10_000));
        }
        for second in 101..=200 {
            totals.observe(at(second), &host("sdw1"), &progress(0, 1000 + (second - 100) * 50, 10_000));
        }
        assert_eq!(totals.snapshot(at(200)).bytes_per_second, Some(50));
    }

    #[test]
    fn segments_that_are_over_are_not_slow() {
        let mut totals = Totals::default();
        totals.observe(at(0), &host("sdw1"), &phase(0, "copying"));
        totals.observe(at(0), &host("sdw2"), &phase(1, "copying"));
        totals.observe(at(0), &host("sdw2"), &phase(2, "waiting for the archive"));
        totals.observe(at(1), &host("sdw1"), &progress(0, 10, 1000));
        assert_eq!(totals.snapshot(at(1)).phase, "copying");
        let error = ErrorReport { message: "x".into(), remedy: None };
        totals.observe(at(2), &host("sdw1"), &Event::SegmentFailed { content: ContentId(0), error });
        let done = Event::SegmentDone { content: ContentId(1), result: SegmentResult::Prepared };
        totals.observe(at(2), &host("sdw2"), &done);
        let snapshot = totals.snapshot(at(3));
        assert_eq!((snapshot.over, snapshot.segments), (2, 3));
        assert_eq!(snapshot.slowest.unwrap().content, ContentId(2));
        assert_eq!(snapshot.phase, "waiting for the archive");
    }

    #[test]
    fn growing_files_and_large_numbers() {
        let mut totals = Totals::default();
        totals.observe(at(0), &host("sdw1"), &progress(0, u64::MAX, 5));
        totals.observe(at(1), &host("sdw1"), &progress(1, u64::MAX, u64::MAX));
        let snapshot = totals.snapshot(at(5));
        assert_eq!((snapshot.steps(1000), snapshot.done_bytes), (1000, u64::MAX));
        assert_eq!(Totals::default().snapshot(at(1)), Snapshot::default());
    }
}
