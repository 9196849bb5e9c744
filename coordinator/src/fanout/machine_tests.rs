//! The state machine against every order of events that small clusters can see.

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use formats::ContentId;
use formats::wire::*;

use super::*;

const LEASE: Duration = Duration::from_secs(60);

fn plan(index: usize) -> HostPlan {
    let segment = SegmentTarget { content: ContentId(index as i32), port: 6000, data_dir: "/data".into() };
    let spec = JobSpec { config: "/etc/damson.yaml".into(), segments: vec![segment], work: Work::SwitchWal };
    HostPlan { host: HostName(format!("sdw{index}")), job: JobId(format!("job{index}")), spec }
}

fn machine(hosts: usize) -> Fanout {
    Fanout::new((0..hosts).map(plan).collect(), Policy::with_lease(LEASE))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn error(text: &str) -> ErrorReport {
    ErrorReport { message: text.into(), remedy: None }
}

fn entry(host: usize, number: u64, event: Event) -> Input {
    Input::Entry { host, entry: JournalEntry { number, at_millis: 0, event } }
}

fn done(host: usize) -> Event {
    Event::SegmentDone { content: ContentId(host as i32), result: SegmentResult::Prepared }
}

fn finished(outcome: Outcome) -> Event {
    Event::Finished { outcome, peak_memory_bytes: 7 }
}

fn died() -> Event {
    finished(Outcome::Died { error: error("killed") })
}

fn cancelled() -> Event {
    finished(Outcome::Cancelled { why: "told so".into() })
}

fn requests(actions: &[Action], of: usize) -> Vec<&Request> {
    let sent = actions.iter().filter_map(|action| match action {
        Action::Send { host, request } if *host == of => Some(request),
        _ => None,
    });
    sent.collect()
}

fn verdict(actions: &[Action]) -> &Verdict {
    match actions.last() {
        Some(Action::Finish(verdict)) => verdict,
        other => panic!("no verdict but {other:?}"),
    }
}

#[test]
fn all_hosts_finish() {
    let mut fanout = machine(2);
    assert_eq!(fanout.step(seconds(0), Input::Tick), [Action::Connect(0), Action::Connect(1)]);
    for host in 0..2 {
        let actions = fanout.step(seconds(1), Input::Connected(host));
        assert!(matches!(requests(&actions, host)[..], [Request::Start { lease_seconds: 60, .. }]));
        assert_eq!(fanout.step(seconds(2), entry(host, 0, done(host))).len(), 1);
    }
    fanout.step(seconds(3), entry(0, 1, finished(Outcome::Done)));
    let actions = fanout.step(seconds(3), entry(1, 1, finished(Outcome::Done)));
    let verdict = verdict(&actions);
    assert!(verdict.is_success() && verdict.report().is_none());
    assert_eq!((verdict.results().len(), verdict.hosts[0].peak_memory_bytes), (2, 7));
    assert!(fanout.step(seconds(4), Input::Interrupt).is_empty() && fanout.next_wake().is_none());
}

#[test]
fn a_failed_segment_stops_everybody_and_is_named() {
    let mut fanout = machine(3);
    fanout.step(seconds(0), Input::Tick);
    fanout.step(seconds(1), Input::Connected(0));
    fanout.step(seconds(1), Input::Connected(1));
    let failed = Event::SegmentFailed { content: ContentId(1), error: error("no space left on device") };
    let actions = fanout.step(seconds(2), entry(1, 0, failed));
    assert_eq!(requests(&actions, 0), [&Request::Cancel]);
    assert_eq!(requests(&actions, 1), [&Request::Cancel]);
    assert!(actions.contains(&Action::Disconnect(2)));
    fanout.step(seconds(3), entry(1, 1, finished(Outcome::Failed { error: error("content 1 failed") })));
    let actions = fanout.step(seconds(3), entry(0, 0, cancelled()));
    let report = verdict(&actions).report().unwrap();
    assert_eq!(
        report.message,
        "host sdw1, content 1: no space left on device; 1 other host stopped; 1 other host had not started"
    );
}

#[test]
fn a_lost_connection_is_attached_again_from_the_next_event() {
    let mut fanout = machine(1);
    fanout.step(seconds(0), Input::Tick);
    fanout.step(seconds(1), Input::Connected(0));
    fanout.step(seconds(2), entry(0, 0, Event::Started { pid: 1 }));
    fanout.step(seconds(2), entry(0, 1, done(0)));
    fanout.step(seconds(3), Input::Lost { host: 0, error: error("cut") });
    let wake = fanout.next_wake().unwrap();
    assert_eq!(fanout.step(wake, Input::Tick), [Action::Connect(0)]);
    let actions = fanout.step(wake, Input::Connected(0));
    assert_eq!(requests(&actions, 0), [&Request::Attach { job: JobId("job0".into()), from: 2 }]);
    assert!(fanout.step(wake, entry(0, 1, done(0))).is_empty(), "an event is observed once");
    assert!(verdict(&fanout.step(wake, entry(0, 2, finished(Outcome::Done)))).is_success());
}

#[test]
fn a_lost_host_is_given_up_when_its_lease_is_over() {
    let mut fanout = machine(2);
    fanout.step(seconds(0), Input::Tick);
    fanout.step(seconds(1), Input::Connected(0));
    fanout.step(seconds(1), Input::Connected(1));
    fanout.step(seconds(5), Input::Alive(0));
    fanout.step(seconds(6), Input::Lost { host: 0, error: error("cut") });
    fanout.step(seconds(64), Input::Alive(1));
    let actions = fanout.step(seconds(64), Input::Tick);
    assert!(requests(&actions, 1).iter().all(|request| **request == Request::Heartbeat));
    let actions = fanout.step(seconds(65), Input::Tick);
    assert_eq!(requests(&actions, 1), [&Request::Cancel]);
    let actions = fanout.step(seconds(66), entry(1, 0, cancelled()));
    let message = verdict(&actions).report().unwrap().message;
    assert!(message.starts_with("host sdw0: gave no sign of life for 60 s"), "{message}");
}

#[test]
fn an_interrupt_stops_a_lost_host_too() {
    let mut fanout = machine(1);
    fanout.step(seconds(0), Input::Tick);
    fanout.step(seconds(1), Input::Connected(0));
    fanout.step(seconds(2), entry(0, 0, Event::Started { pid: 1 }));
    fanout.step(seconds(3), Input::Lost { host: 0, error: error("cut") });
    assert_eq!(fanout.step(seconds(3), Input::Interrupt), [Action::Connect(0)]);
    let actions = fanout.step(seconds(4), Input::Connected(0));
    let attach = Request::Attach { job: JobId("job0".into()), from: 1 };
    assert_eq!(requests(&actions, 0), [&attach, &Request::Cancel]);
    let actions = fanout.step(seconds(5), entry(0, 1, cancelled()));
    assert_eq!(verdict(&actions).cause, Some(Cause::Interrupted));
    assert_eq!(verdict(&actions).report().unwrap().message, "interrupted; 1 host stopped");
}

#[test]
fn an_agent_that_does_not_stop_is_given_up() {
    let mut fanout = machine(1);
    fanout.step(seconds(0), Input::Tick);
    fanout.step(seconds(1), Input::Connected(0));
    fanout.step(seconds(2), Input::Interrupt);
    fanout.step(seconds(30), Input::Alive(0));
    let actions = fanout.step(seconds(62), Input::Tick);
    assert!(matches!(verdict(&actions).hosts[0].end, End::GivenUp { .. }));
}

#[test]
fn odd_agents_are_failures() {
    for odd in [
        vec![entry(0, 0, finished(Outcome::Done))],
        vec![entry(0, 3, done(0)), entry(0, 4, finished(Outcome::Done))],
        vec![entry(0, 0, cancelled())],
        vec![Input::Refused { host: 0, error: error("no") }],
    ] {
        let mut fanout = machine(1);
        fanout.step(seconds(0), Input::Tick);
        fanout.step(seconds(1), Input::Connected(0));
        let actions: Vec<_> = odd.into_iter().flat_map(|input| fanout.step(seconds(2), input)).collect();
        assert!(matches!(verdict(&actions).cause, Some(Cause::Failure { .. })));
    }
}

#[test]
fn an_unreachable_host_fails_after_three_attempts_and_a_refusing_one_at_once() {
    let mut fanout = machine(1);
    let mut connects = 0;
    let actions = loop {
        let now = fanout.next_wake().unwrap();
        connects += fanout.step(now, Input::Tick).len();
        let failed = Input::ConnectFailed { host: 0, error: error("no route"), transient: true };
        let actions = fanout.step(now, failed);
        if matches!(actions.last(), Some(Action::Finish(_))) {
            break actions;
        }
    };
    assert_eq!((connects, verdict(&actions).report().unwrap().message), (3, "host sdw0: no route".into()));

    let mut fanout = machine(1);
    fanout.step(seconds(0), Input::Tick);
    let failed = Input::ConnectFailed { host: 0, error: error("changed key"), transient: false };
    assert!(!verdict(&fanout.step(seconds(0), failed)).is_success());
}

/// A host with two segments, of which one is done when the process dies.
#[test]
fn the_unfinished_segments_of_a_dead_agent_are_started_again_once() {
    let mut plan = plan(0);
    let other = SegmentTarget { content: ContentId(7), port: 6007, data_dir: "/data7".into() };
    plan.spec.segments.push(other.clone());
    let mut fanout = Fanout::new(vec![plan], Policy::with_lease(LEASE));
    fanout.step(seconds(0), Input::Tick);
    fanout.step(seconds(1), Input::Connected(0));
    fanout.step(seconds(2), entry(0, 0, done(0)));
    let actions = fanout.step(seconds(3), entry(0, 1, died()));
    assert!(
        matches!(&actions[..], [Action::Observe { .. }, Action::Disconnect(0), Action::Warn { .. }]),
        "{actions:?}"
    );
    let wake = fanout.next_wake().unwrap();
    assert_eq!(fanout.step(wake, Input::Tick), [Action::Connect(0)]);
    let actions = fanout.step(wake, Input::Connected(0));
    let [Request::Start { job, spec, .. }] = &requests(&actions, 0)[..] else { panic!("{actions:?}") };
    assert_eq!((job.0.as_str(), &spec.segments), ("job0-again1", &vec![other]));
    let again = Event::SegmentDone { content: ContentId(7), result: SegmentResult::Prepared };
    let mut twice = fanout.clone();
    fanout.step(wake, entry(0, 0, again));
    let actions = fanout.step(wake, entry(0, 1, finished(Outcome::Done)));
    assert_eq!((verdict(&actions).is_success(), verdict(&actions).results().len()), (true, 2));

    let actions = twice.step(wake, entry(0, 0, died()));
    assert_eq!(verdict(&actions).report().unwrap().message, "host sdw0: killed");
}

/// What the process had finished is finished; a host that waits for its second start is not started when all is stopped.
#[test]
fn a_death_changes_nothing_where_nothing_is_left_or_all_is_stopped() {
    let mut fanout = machine(1);
    fanout.step(seconds(0), Input::Tick);
    fanout.step(seconds(1), Input::Connected(0));
    fanout.step(seconds(2), entry(0, 0, done(0)));
    assert!(verdict(&fanout.step(seconds(3), entry(0, 1, died()))).is_success());

    let mut fanout = machine(1);
    fanout.step(seconds(0), Input::Tick);
    fanout.step(seconds(1), Input::Connected(0));
    fanout.step(seconds(2), entry(0, 0, died()));
    let actions = fanout.step(seconds(2), Input::Interrupt);
    assert_eq!(verdict(&actions).hosts[0].end, End::Failed(error("killed")));
}

#[test]
fn heartbeats_go_out_six_times_a_lease() {
    let mut fanout = machine(1);
    fanout.step(seconds(0), Input::Tick);
    fanout.step(seconds(0), Input::Connected(0));
    let mut beats = 0;
    while let Some(now) = fanout.next_wake().filter(|now| *now <= LEASE) {
        fanout.step(now, Input::Alive(0));
        beats += 1;
    }
    assert_eq!(beats, 6);
}

#[test]
fn no_hosts_are_done_at_once() {
    assert!(verdict(&machine(0).step(seconds(0), Input::Tick)).is_success());
}

/// A machine and what its driver and its hosts know.
#[derive(Clone, Debug)]
struct World {
    fanout: Fanout,
    now: Duration,
    /// Per host: a connect was asked for and not answered; a connection is open; a job may run; a cancel was sent.
    connecting: Vec<bool>,
    open: Vec<bool>,
    started: Vec<bool>,
    cancelled: Vec<bool>,
    /// Names of the jobs that were started.
    jobs: Vec<BTreeSet<String>>,
    verdict: Option<Verdict>,
}

impl World {
    fn new(hosts: usize) -> Self {
        let no = vec![false; hosts];
        let mut world = Self {
            fanout: machine(hosts),
            now: Duration::ZERO,
            connecting: no.clone(),
            open: no.clone(),
            started: no.clone(),
            cancelled: no,
            jobs: vec![BTreeSet::new(); hosts],
            verdict: None,
        };
        world.step(Input::Tick);
        world
    }

    /// Every input that a driver could bring now.
    fn inputs(&self) -> Vec<Input> {
        let mut inputs = vec![Input::Interrupt, Input::Tick];
        for host in 0..self.open.len() {
            if self.connecting[host] {
                inputs.push(Input::Connected(host));
                inputs.extend([true, false].map(|transient| Input::ConnectFailed {
                    host,
                    error: error("c"),
                    transient,
                }));
            }
            if self.open[host] {
                let next = self.fanout.next_event(host);
                inputs.extend([
                    entry(host, next, Event::Started { pid: 1 }),
                    entry(host, next, done(host)),
                    entry(host, next, Event::SegmentFailed { content: ContentId(host as i32), error: error("s") }),
                    entry(host, next, finished(Outcome::Done)),
                    entry(host, next, finished(Outcome::Failed { error: error("f") })),
                    entry(host, next, cancelled()),
                    entry(host, next, died()),
                    Input::Refused { host, error: error("r") },
                    Input::Lost { host, error: error("l") },
                ]);
            }
        }
        inputs
    }

    fn step(&mut self, input: Input) {
        match &input {
            Input::Tick => self.now = self.fanout.next_wake().unwrap_or(self.now).max(self.now),
            Input::Connected(host) => (self.connecting[*host], self.open[*host]) = (false, true),
            Input::ConnectFailed { host, .. } => self.connecting[*host] = false,
            Input::Lost { host, .. } | Input::Refused { host, .. } => self.open[*host] = false,
            _ => {}
        }
        let actions = self.fanout.step(self.now, input);
        assert!(self.verdict.is_none() || actions.is_empty(), "nothing comes after the verdict");
        for action in actions {
            assert!(self.verdict.is_none(), "the verdict is the last action, and the only one");
            self.take(action);
        }
    }

    fn take(&mut self, action: Action) {
        match action {
            Action::Connect(host) => {
                assert!(!self.open[host] && !self.connecting[host], "one connection a host");
                self.connecting[host] = true;
            }
            Action::Send { host, request } => {
                assert!(self.open[host], "requests need a connection");
                match request {
                    Request::Start { job, .. } => {
                        assert!(!self.fanout.is_stopping(), "nothing starts after a failure");
                        self.started[host] = true;
                        self.jobs[host].insert(job.0);
                        assert!(self.jobs[host].len() <= 2, "a job and one restart");
                    }
                    Request::Cancel => self.cancelled[host] = true,
                    Request::Attach { .. } | Request::Heartbeat => {}
                    Request::Jobs => panic!("nobody asks for jobs"),
                }
            }
            Action::Disconnect(host) => self.open[host] = false,
            Action::Observe { .. } | Action::Note { .. } | Action::Warn { .. } => {}
            Action::Finish(verdict) => self.verdict = Some(verdict),
        }
    }

    fn check(&self) {
        if let Some(verdict) = &self.verdict {
            assert_eq!(
                verdict.is_success(),
                verdict.hosts.iter().all(|h| h.end == End::Done) && verdict.cause.is_none()
            );
            if verdict.is_success() {
                assert!(verdict.hosts.iter().all(|host| !host.results.is_empty()));
            }
            for (host, end) in verdict.hosts.iter().map(|host| &host.end).enumerate() {
                assert!(*end != End::NeverStarted || !self.started[host] || self.fanout.next_event(host) == 0);
            }
        }
        if self.fanout.is_stopping() {
            for host in (0..self.open.len()).filter(|host| self.open[*host]) {
                assert!(self.cancelled[host], "everybody with a connection is told to stop");
            }
        }
    }

    /// From here on no host says a word and no connect succeeds.
    fn check_that_it_ends(mut self) {
        for _ in 0..200 * self.open.len() {
            if self.verdict.is_some() {
                return;
            }
            match self.connecting.iter().position(|connecting| *connecting) {
                Some(host) => self.step(Input::ConnectFailed { host, error: error("c"), transient: true }),
                None => self.step(Input::Tick),
            }
        }
        panic!("no end in sight: {self:?}");
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        format!("{self:?}").hash(&mut hasher);
        hasher.finish()
    }
}

/// Every world that `depth` inputs can lead to; returns how many there were.
fn explore(hosts: usize, depth: usize) -> usize {
    let mut seen = HashSet::new();
    let mut frontier = vec![World::new(hosts)];
    for _ in 0..depth {
        let mut next = Vec::new();
        for world in &frontier {
            for input in world.inputs() {
                let mut after = world.clone();
                after.step(input);
                if seen.insert(after.fingerprint()) {
                    after.check();
                    after.clone().check_that_it_ends();
                    if after.verdict.is_none() {
                        next.push(after);
                    }
                }
            }
        }
        frontier = next;
    }
    println!("{hosts} hosts, {depth} inputs: {} worlds", seen.len());
    seen.len()
}

#[test]
fn every_order_of_events_on_one_host() {
    assert!(explore(1, 12) > 500);
}

#[test]
fn every_order_of_events_on_two_hosts() {
    assert!(explore(2, 6) > 5_000);
}

#[test]
fn every_order_of_events_on_three_hosts() {
    assert!(explore(3, 5) > 5_000);
}

/// Of a hundred hosts not every order can be tried: a few thousand steps of some random ones.
#[test]
fn random_orders_of_events_on_a_hundred_hosts() {
    for seed in 1..=10_u64 {
        let mut world = World::new(100);
        let mut random = seed;
        for step in 0..2_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Interrupts and failures would end most walks early.
            let inputs: Vec<Input> =
                world.inputs().into_iter().filter(|input| step > 1_500 || !is_end(input)).collect();
            world.step(inputs[(random >> 33) as usize % inputs.len()].clone());
            world.check();
            if world.verdict.is_some() {
                break;
            }
        }
        world.check_that_it_ends();
    }
}

fn is_end(input: &Input) -> bool {
    match input {
        Input::Interrupt | Input::Refused { .. } | Input::ConnectFailed { transient: false, .. } => true,
        Input::Entry { entry, .. } => matches!(
            entry.event,
            Event::SegmentFailed { .. }
                | Event::Finished {
                    outcome: Outcome::Failed { .. } | Outcome::Cancelled { .. } | Outcome::Died { .. },
                    ..
                }
        ),
        _ => false,
    }
}
