//! Runs a [`Fanout`] on real hosts: one task a host, one clock, one loop.

use std::time::Duration;

use formats::wire::{JobId, JobSpec, JournalEntry};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::link::{Command, Link};
use super::{Action, Fanout, HostPlan, Input, Policy, Verdict};
use crate::host::{Host, HostName};

/// Events on their way from all hosts to the observer; a full queue slows the hosts' connections, not their work.
const INPUT_QUEUE: usize = 256;
/// For closing the connections after the verdict.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// What one host is to do, and how it is reached.
#[derive(Clone, Debug)]
pub struct HostJob {
    pub host: Host,
    pub job: JobId,
    pub spec: JobSpec,
}

/// Runs all jobs to their end. `observer` sees every event of every host once, in the order of the host. When `cancel` is
/// cancelled, every host is stopped and waited for in bounded time.
pub async fn run(
    jobs: Vec<HostJob>,
    lease: Duration,
    mut observer: impl FnMut(&HostName, &JournalEntry),
    cancel: CancellationToken,
) -> Verdict {
    let plan = |job: &HostJob| HostPlan { host: job.host.name().clone(), job: job.job.clone(), spec: job.spec.clone() };
    let names: Vec<HostName> = jobs.iter().map(|job| job.host.name().clone()).collect();
    let mut machine = Fanout::new(jobs.iter().map(plan).collect(), Policy::with_lease(lease));
    let (inputs, mut arrived) = mpsc::channel(INPUT_QUEUE);
    let mut links = JoinSet::new();
    let mut commands: Vec<UnboundedSender<Command>> = Vec::new();
    for (index, job) in jobs.into_iter().enumerate() {
        let (sender, receiver) = mpsc::unbounded_channel();
        let link = Link { index, host: job.host, config: job.spec.config, inputs: inputs.clone() };
        links.spawn(link.run(receiver));
        commands.push(sender);
    }

    let begin = Instant::now();
    let mut interrupted = false;
    let mut input = Input::Tick;
    let verdict = loop {
        let actions = machine.step(begin.elapsed(), input);
        if let Some(verdict) = perform(actions, &names, &commands, &mut observer) {
            break verdict;
        }
        let wake = machine.next_wake().map(|wake| begin + wake);
        input = tokio::select! {
            () = cancel.cancelled(), if !interrupted => { interrupted = true; Input::Interrupt }
            Some(input) = arrived.recv() => input,
            () = sleep_until(wake) => Input::Tick,
        };
    };
    drop(commands);
    drop(arrived);
    // What is still open after this is aborted with the set.
    let closed = async { while links.join_next().await.is_some() {} };
    if tokio::time::timeout(CLOSE_LIMIT, closed).await.is_err() {
        tracing::debug!("some connections did not close in time");
    }
    verdict
}

fn perform(
    actions: Vec<Action>,
    names: &[HostName],
    commands: &[UnboundedSender<Command>],
    observer: &mut impl FnMut(&HostName, &JournalEntry),
) -> Option<Verdict> {
    // A link that is gone has ended with the runtime; its host then runs into its lease.
    let tell = |host: usize, command: Command| drop(commands[host].send(command));
    for action in actions {
        match action {
            Action::Connect(host) => tell(host, Command::Connect),
            Action::Send { host, request } => tell(host, Command::Send(request)),
            Action::Disconnect(host) => tell(host, Command::Disconnect),
            Action::Observe { host, entry } => observer(&names[host], &entry),
            Action::Note { host, text } => tracing::info!(host = %names[host], "{text}"),
            Action::Warn { host, text } => tracing::warn!(host = %names[host], "{text}"),
            Action::Finish(verdict) => return Some(verdict),
        }
    }
    None
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}
