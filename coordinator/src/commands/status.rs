//! `status`: what runs on the hosts, and how far it is.
//!
//! The agents read it from the journals of their jobs, so it can be asked from another terminal, and also after the command that
//! started the jobs is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use coordinator::host::{Agent, Host};
use formats::wire::{JobReport, JobState, Outcome, Reply, Request, SegmentReport};
use futures::future::join_all;
use restore_configs::RestoreConfig;
use serde::Serialize;

use super::backup_fetch::read_restore_config;
use super::backup_list::cannot_print;
use crate::cluster::{Cluster, Node, nodes_of_config};
use crate::error::{Error, Result};
use crate::session::Session;

/// A host that does not answer by then is reported as such.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Show what runs on the hosts of the cluster and how far it is, and what ended within the last day
#[derive(Debug, Args)]
pub struct Status {
    /// Ask these hosts; for when the cluster's servers do not run
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    hosts: Option<Vec<String>>,
    /// Ask the hosts of this restore config
    #[arg(long, value_name = "FILE", conflicts_with = "hosts")]
    restore_config: Option<PathBuf>,
    /// JSON, for programs
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    json: bool,
}

/// What a host answered.
#[derive(Serialize)]
struct HostStatus {
    host: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    jobs: Vec<JobReport>,
}

pub async fn run(session: &Session, arguments: Status) -> Result<()> {
    let hosts = hosts(session, &arguments).await?;
    let asked = join_all(hosts.iter().map(|host| async {
        let answer = tokio::select! {
            answer = tokio::time::timeout(ANSWER_LIMIT, ask(session, host)) => answer,
            () = session.cancel.cancelled() => return Err(Error::Interrupted),
        };
        let late = || Err(format!("no answer within {} s", ANSWER_LIMIT.as_secs()));
        let (jobs, error) = match answer.unwrap_or_else(|_| late()) {
            Ok(jobs) => (jobs, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        Ok(HostStatus { host: host.name().to_string(), error, jobs })
    }));
    let answers = asked.await.into_iter().collect::<Result<Vec<_>>>()?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        segment_agent::listing::json::write_line(&answers, &mut out).map_err(cannot_print)?;
    } else {
        let now = chrono::Utc::now().timestamp_millis();
        let text: String = answers.iter().map(|answer| describe(answer, now)).collect();
        std::io::Write::write_all(&mut out, text.as_bytes()).map_err(cannot_print)?;
    }
    match answers.iter().filter(|answer| answer.error.is_some()).count() {
        0 => Ok(()),
        silent => Err(Error::Several(format!("{silent} of {} hosts did not tell what runs on them", answers.len()))),
    }
}

async fn hosts(session: &Session, arguments: &Status) -> Result<Vec<Host>> {
    if let Some(names) = &arguments.hosts {
        let here = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let local = |name: &String| *name == here || name == "localhost";
        let names: BTreeSet<_> = names.iter().filter(|name| !name.is_empty()).collect();
        return names.into_iter().map(|name| session.host(name, if local(name) { name } else { "" })).collect();
    }
    let nodes = match &arguments.restore_config {
        Some(path) => nodes_of_config(&RestoreConfig::parse(&read_restore_config(path)?)?),
        None => Cluster::discover(&session.settings).await?.nodes,
    };
    let coordinator = nodes.iter().find(|node| node.is_coordinator()).map_or("", |node| node.hostname.as_str());
    let names: BTreeMap<&str, &Node> = nodes.iter().map(|node| (node.hostname.as_str(), node)).collect();
    names.into_keys().map(|name| session.host(name, coordinator)).collect()
}

async fn ask(session: &Session, host: &Host) -> Result<Vec<JobReport>, String> {
    let told = |error: coordinator::host::Error| match error.remedy() {
        Some(remedy) => format!("{error}; {remedy}"),
        None => error.to_string(),
    };
    let mut agent = Agent::open(host, &session.config).await.map_err(told)?;
    agent.send(&Request::Jobs).await.map_err(told)?;
    loop {
        match agent.next().await.map_err(told)? {
            Reply::Jobs { jobs } => return Ok(jobs),
            Reply::Refused { error } => return Err(error.message),
            _ => {}
        }
    }
}

fn describe(answer: &HostStatus, now_millis: i64) -> String {
    if let Some(error) = &answer.error {
        return format!("host {}: FAILED: {error}\n", answer.host);
    }
    if answer.jobs.is_empty() {
        return format!("host {}: nothing runs, and nothing ran within the last day\n", answer.host);
    }
    let mut text = String::new();
    for job in &answer.jobs {
        text += &format!("host {}: {} ({}), job {}\n", answer.host, job.work, state(job, now_millis), job.job.0);
        for segment in &job.segments {
            text += &format!("  content {:>3}  {}\n", segment.content, progress(segment, &job.state));
        }
    }
    text
}

fn state(job: &JobReport, now_millis: i64) -> String {
    let since =
        |millis: i64| indicatif::HumanDuration(Duration::from_millis(u64::try_from(now_millis - millis).unwrap_or(0)));
    match &job.state {
        JobState::Running => format!("running for {:#}", since(job.started_millis)),
        JobState::Ended(Outcome::Done) => format!("done {:#} ago", since(job.last_millis)),
        JobState::Ended(Outcome::Failed { error } | Outcome::Died { error }) => {
            format!("failed {:#} ago: {}", since(job.last_millis), error.message)
        }
        JobState::Ended(Outcome::Cancelled { why }) => format!("stopped {:#} ago: {why}", since(job.last_millis)),
        JobState::Died { last_printed } => {
            let printed =
                last_printed.as_deref().map(|line| format!("; the last it printed: {line}")).unwrap_or_default();
            format!("its process died {:#} ago{printed}", since(job.last_millis))
        }
    }
}

fn progress(segment: &SegmentReport, state: &JobState) -> String {
    let bytes = match segment.total_bytes {
        0 => String::new(),
        total => {
            let percent = (segment.done_bytes as f64 / total as f64 * 100.0).min(100.0);
            format!(", {percent:.0} % of {}", indicatif::BinaryBytes(total))
        }
    };
    match &segment.error {
        Some(error) => format!("failed: {error}"),
        None if segment.is_done => format!("done{bytes}"),
        None if segment.phase.is_empty() => format!("begins{bytes}"),
        None if *state == JobState::Running => format!("{}{bytes}", segment.phase),
        None => format!("stopped in: {}{bytes}", segment.phase),
    }
}
