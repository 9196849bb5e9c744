//! The decisions of a fan-out: a pure state machine over [`Input`] and time.
//!
//! It promises: at most one [`Action::Finish`], as the last action; then every host has an [`End`]; after the first failure
//! or an interrupt every host on which a job may run is sent a cancel; and as long as connects are answered it comes to
//! its end in bounded time even if no host ever says a word again. Time is the time since the fan-out began.

use std::collections::BTreeMap;
use std::time::Duration;

use formats::ContentId;
use formats::wire::{ErrorReport, Event, JobId, JournalEntry, Outcome, Request, SegmentResult};

use super::{Action, Cause, End, HostPlan, HostVerdict, Input, Policy, Verdict};

/// See the module's head.
#[derive(Clone, Debug, PartialEq)]
pub struct Fanout {
    policy: Policy,
    hosts: Vec<HostState>,
    cause: Option<Cause>,
    /// Since when everything is being stopped: set with `cause`.
    stop_deadline: Option<Duration>,
    finished: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct HostState {
    plan: HostPlan,
    link: Link,
    /// A start was sent: a job may run on the host.
    start_sent: bool,
    /// Number of the first event not seen.
    next_event: u64,
    /// When the agent last spoke, or was started.
    last_word: Duration,
    /// Failed attempts to connect since the agent last spoke.
    attempts: u32,
    results: BTreeMap<ContentId, SegmentResult>,
    peak_memory_bytes: u64,
    /// The deaths of the agent's process after which its unfinished segments were started again.
    deaths: Vec<ErrorReport>,
    end: Option<End>,
}

#[derive(Clone, Debug, PartialEq)]
enum Link {
    Waiting { until: Duration },
    Connecting,
    Attached { since: Duration, heartbeat_at: Duration },
}

impl Fanout {
    /// The first connects come with the first step.
    pub fn new(plans: Vec<HostPlan>, policy: Policy) -> Self {
        let hosts = plans.into_iter().map(HostState::new).collect();
        Self { policy, hosts, cause: None, stop_deadline: None, finished: false }
    }

    /// When to come back with [`Input::Tick`] if nothing else happens before.
    pub fn next_wake(&self) -> Option<Duration> {
        let open = self.hosts.iter().filter(|host| host.end.is_none());
        let times = open.flat_map(|host| {
            let link = match host.link {
                Link::Waiting { until } => Some(until),
                Link::Connecting => None,
                Link::Attached { heartbeat_at, .. } => Some(heartbeat_at),
            };
            [link, host.silence_ends(&self.policy), self.stop_deadline]
        });
        if self.finished { None } else { times.flatten().min() }
    }

    /// Takes in what happened by `now` and says what to do.
    pub fn step(&mut self, now: Duration, input: Input) -> Vec<Action> {
        if self.finished {
            return Vec::new();
        }
        let mut actions = Vec::new();
        match input {
            Input::Connected(host) => self.connected(now, host, &mut actions),
            Input::ConnectFailed { host, error, transient } => {
                self.connect_failed(now, host, error, transient, &mut actions);
            }
            Input::Entry { host, entry } => self.entry(now, host, entry, &mut actions),
            Input::Alive(host) => self.hosts[host].heard(now),
            Input::Refused { host, error } => self.refused(now, host, error, &mut actions),
            Input::Lost { host, error } => self.lost(now, host, error, &mut actions),
            Input::Interrupt => self.stop(now, Cause::Interrupted, &mut actions),
            Input::Tick => {}
        }
        self.pass_time(now, &mut actions);
        if self.hosts.iter().all(|host| host.end.is_some()) {
            self.finished = true;
            actions.push(Action::Finish(self.verdict()));
        }
        actions
    }

    fn connected(&mut self, now: Duration, index: usize, actions: &mut Vec<Action>) {
        let stopping = self.stop_deadline.is_some();
        let heartbeat_at = now + self.policy.heartbeat_interval();
        let lease_seconds = self.policy.lease.as_secs().max(1);
        let host = &mut self.hosts[index];
        if host.end.is_some() {
            return actions.push(Action::Disconnect(index));
        }
        host.link = Link::Attached { since: now, heartbeat_at };
        let job = host.plan.job.clone();
        // Where a start got no answer it is repeated, which attaches to the job if it runs. When stopping, nothing may be
        // started, and an agent that does not know the job says so.
        let request = match host.next_event == 0 && !stopping {
            true => Request::Start { job, lease_seconds, spec: host.plan.spec.clone() },
            false => Request::Attach { job, from: host.next_event },
        };
        if !host.start_sent {
            host.start_sent = true;
            host.last_word = now;
        } else if !stopping {
            actions.push(Action::Note { host: index, text: "attached again".to_owned() });
        }
        actions.push(Action::Send { host: index, request });
        if stopping {
            actions.push(Action::Send { host: index, request: Request::Cancel });
        }
    }

    fn connect_failed(
        &mut self,
        now: Duration,
        index: usize,
        error: ErrorReport,
        transient: bool,
        actions: &mut Vec<Action>,
    ) {
        let host = &mut self.hosts[index];
        if host.end.is_some() {
            return;
        }
        host.attempts += 1;
        let hopeless = !transient || (!host.start_sent && host.attempts >= self.policy.first_attempts);
        if hopeless {
            return self.fail_host(now, index, error, actions);
        }
        let pause = self.policy.backoff(host.attempts);
        host.link = Link::Waiting { until: now + pause };
        let text = format!("{}; trying again in {} ms", error.message, pause.as_millis());
        actions.push(Action::Note { host: index, text });
    }

    fn entry(&mut self, now: Duration, index: usize, entry: JournalEntry, actions: &mut Vec<Action>) {
        let host = &mut self.hosts[index];
        host.heard(now);
        if host.end.is_some() || entry.number < host.next_event {
            return;
        }
        let gap = entry.number > host.next_event;
        let expected = std::mem::replace(&mut host.next_event, entry.number + 1);
        actions.push(Action::Observe { host: index, entry: entry.clone() });
        if gap {
            let message = format!("the agent's journal has a gap: event {} came after {expected} events", entry.number);
            self.fail(now, index, None, ErrorReport { message, remedy: None }, actions);
        }
        match entry.event {
            Event::SegmentDone { content, result } => {
                self.hosts[index].results.insert(content, result);
            }
            Event::SegmentFailed { content, error } => self.fail(now, index, Some(content), error, actions),
            Event::Finished { outcome, peak_memory_bytes } => {
                self.hosts[index].peak_memory_bytes = peak_memory_bytes;
                self.job_finished(now, index, outcome, actions);
            }
            Event::Started { .. } | Event::Phase { .. } | Event::Progress { .. } | Event::Warning { .. } => {}
        }
    }

    fn job_finished(&mut self, now: Duration, index: usize, outcome: Outcome, actions: &mut Vec<Action>) {
        let end = match outcome {
            Outcome::Done => match self.hosts[index].missing_result() {
                None => End::Done,
                Some(content) => {
                    let message = format!("the agent finished without a result for content {}", content.0);
                    End::Failed(ErrorReport { message, remedy: None })
                }
            },
            Outcome::Failed { error } => End::Failed(error),
            Outcome::Cancelled { why } => End::Cancelled { why },
            // All that is lost is the process's last word.
            Outcome::Died { .. } if self.hosts[index].missing_result().is_none() => End::Done,
            Outcome::Died { error } if self.may_start_again(index) => {
                return self.start_again(now, index, error, actions);
            }
            Outcome::Died { error } => End::Failed(error),
        };
        self.close(index, end.clone(), actions);
        match end {
            End::Failed(error) => self.fail(now, index, None, error, actions),
            End::Cancelled { why } => {
                let error = ErrorReport { message: format!("its job stopped: {why}"), remedy: None };
                self.fail(now, index, None, error, actions);
            }
            _ => {}
        }
    }

    fn may_start_again(&self, index: usize) -> bool {
        let host = &self.hosts[index];
        self.stop_deadline.is_none() && host.end.is_none() && host.deaths.len() < self.policy.restarts as usize
    }

    /// The process of a job was killed, and took nothing with it but its unfinished segments.
    fn start_again(&mut self, now: Duration, index: usize, death: ErrorReport, actions: &mut Vec<Action>) {
        let text = format!("{}; its unfinished segments are started again", death.message);
        self.hosts[index].start_again(now + self.policy.backoff(1), death);
        actions.push(Action::Disconnect(index));
        actions.push(Action::Warn { host: index, text });
    }

    /// When stopping, an agent that does not know the job never started it.
    fn refused(&mut self, now: Duration, index: usize, error: ErrorReport, actions: &mut Vec<Action>) {
        let host = &self.hosts[index];
        if host.end.is_some() {
            return;
        }
        match self.stop_deadline.is_some() && host.next_event == 0 {
            true => self.close(index, host.end_without_job(), actions),
            false => self.fail_host(now, index, error, actions),
        }
    }

    fn lost(&mut self, now: Duration, index: usize, error: ErrorReport, actions: &mut Vec<Action>) {
        let host = &mut self.hosts[index];
        if host.end.is_some() {
            return;
        }
        host.attempts += 1;
        host.link = Link::Waiting { until: now + self.policy.backoff(host.attempts) };
        let text = format!("{}; the job goes on, attaching again", error.message);
        actions.push(Action::Note { host: index, text });
    }

    /// Everything that is due: lost hosts given up, connects after a pause, heartbeats.
    fn pass_time(&mut self, now: Duration, actions: &mut Vec<Action>) {
        for index in 0..self.hosts.len() {
            if self.hosts[index].end.is_none() && self.hosts[index].silence_ends(&self.policy).is_some_and(|t| t <= now)
            {
                self.lease_ran_out(now, index, actions);
            }
        }
        if self.stop_deadline.is_some_and(|deadline| deadline <= now) {
            let why = format!("did not confirm its stop within {} s", self.policy.stop_wait.as_secs());
            for index in 0..self.hosts.len() {
                self.close(index, End::GivenUp { why: why.clone() }, actions);
            }
        }
        let interval = self.policy.heartbeat_interval();
        for (index, host) in self.hosts.iter_mut().enumerate().filter(|(_, host)| host.end.is_none()) {
            match &mut host.link {
                Link::Waiting { until } if *until <= now => {
                    host.link = Link::Connecting;
                    actions.push(Action::Connect(index));
                }
                Link::Attached { heartbeat_at, .. } if *heartbeat_at <= now => {
                    *heartbeat_at = now + interval;
                    actions.push(Action::Send { host: index, request: Request::Heartbeat });
                }
                _ => {}
            }
        }
    }

    fn lease_ran_out(&mut self, now: Duration, index: usize, actions: &mut Vec<Action>) {
        let seconds = self.policy.lease.as_secs();
        let why = format!("gave no sign of life for {seconds} s, the time after which its job stops by itself");
        self.close(index, End::GivenUp { why: why.clone() }, actions);
        self.fail(now, index, None, ErrorReport { message: why, remedy: None }, actions);
    }

    fn fail_host(&mut self, now: Duration, index: usize, error: ErrorReport, actions: &mut Vec<Action>) {
        self.close(index, End::Failed(error.clone()), actions);
        self.fail(now, index, None, error, actions);
    }

    fn fail(
        &mut self,
        now: Duration,
        index: usize,
        content: Option<ContentId>,
        error: ErrorReport,
        actions: &mut Vec<Action>,
    ) {
        let host = self.hosts[index].plan.host.clone();
        self.stop(now, Cause::Failure { host, content, error }, actions);
    }

    /// Only the first cause counts.
    fn stop(&mut self, now: Duration, cause: Cause, actions: &mut Vec<Action>) {
        if self.cause.is_some() {
            return;
        }
        self.cause = Some(cause);
        self.stop_deadline = Some(now + self.policy.stop_wait);
        for index in 0..self.hosts.len() {
            let host = &mut self.hosts[index];
            match (&mut host.link, host.start_sent) {
                _ if host.end.is_some() => {}
                (_, false) => {
                    let end = host.end_without_job();
                    self.close(index, end, actions);
                }
                (Link::Attached { .. }, true) => actions.push(Action::Send { host: index, request: Request::Cancel }),
                (Link::Waiting { until }, true) => *until = now,
                (Link::Connecting, true) => {}
            }
        }
    }

    fn close(&mut self, index: usize, end: End, actions: &mut Vec<Action>) {
        let host = &mut self.hosts[index];
        if host.end.is_none() {
            host.end = Some(end);
            actions.push(Action::Disconnect(index));
        }
    }

    fn verdict(&self) -> Verdict {
        let hosts = self.hosts.iter().map(|host| HostVerdict {
            host: host.plan.host.clone(),
            end: host.end.clone().unwrap_or(End::NeverStarted),
            results: host.results.clone(),
            peak_memory_bytes: host.peak_memory_bytes,
        });
        Verdict { cause: self.cause.clone(), hosts: hosts.collect() }
    }
}

impl HostState {
    fn new(plan: HostPlan) -> Self {
        Self {
            plan,
            link: Link::Waiting { until: Duration::ZERO },
            start_sent: false,
            next_event: 0,
            last_word: Duration::ZERO,
            attempts: 0,
            results: BTreeMap::new(),
            peak_memory_bytes: 0,
            deaths: Vec::new(),
            end: None,
        }
    }

    /// A new job for what is unfinished, on a new connection.
    fn start_again(&mut self, at: Duration, death: ErrorReport) {
        self.deaths.push(death);
        let plan = &self.plan;
        let id = plan.job.0.split("-again").next().unwrap_or_default();
        self.plan = HostPlan {
            host: plan.host.clone(),
            job: JobId(format!("{id}-again{}", self.deaths.len())),
            spec: plan.spec.of_unfinished(|content| !self.results.contains_key(&content)),
        };
        self.link = Link::Waiting { until: at };
        self.start_sent = false;
        self.next_event = 0;
        self.attempts = 0;
    }

    /// How a host ends on which no job runs when everything is stopped.
    fn end_without_job(&self) -> End {
        self.deaths.last().map_or(End::NeverStarted, |death| End::Failed(death.clone()))
    }

    fn heard(&mut self, now: Duration) {
        self.last_word = now;
        self.attempts = 0;
    }

    /// When a host with a job has been silent for the lease, counted from its last word; while a connection is open at
    /// least from its opening.
    fn silence_ends(&self, policy: &Policy) -> Option<Duration> {
        let last = match self.link {
            Link::Attached { since, .. } => since.max(self.last_word),
            Link::Waiting { .. } | Link::Connecting => self.last_word,
        };
        self.start_sent.then_some(last + policy.lease)
    }

    fn missing_result(&self) -> Option<ContentId> {
        self.plan.spec.segments.iter().map(|segment| segment.content).find(|c| !self.results.contains_key(c))
    }
}

/// What the tests look at.
#[cfg(test)]
impl Fanout {
    pub(super) fn next_event(&self, host: usize) -> u64 {
        self.hosts[host].next_event
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop_deadline.is_some()
    }
}
