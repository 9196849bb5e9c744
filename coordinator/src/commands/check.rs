//! `check`: would a backup succeed, and does the log arrive in the archive? Tried out end to end, a line for each thing.
//!
//! Unlike the preflight of a backup it goes on after a failure and tells all there are. It changes nothing but this: every server
//! closes its current log file, and a few bytes are stored and removed again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::{ArgAction, Args};
use coordinator::fanout::{self, Cause, HostJob};
use coordinator::host::{Agent, HostName};
use formats::ContentId;
use formats::wire::{ErrorReport, Event, JournalEntry, SegmentResult, Work};
use futures::future::join_all;
use pgdata::{Lsn, SegmentSize, TimelineId};
use segment_agent::repository::Repository;
use segment_agent::wal;
use serde::Serialize;

use super::backup_list::cannot_print;
use super::preflight::TOLERATED_SKEW;
use super::restore_point::archive_timeout;
use crate::cluster::{Cluster, Node};
use crate::error::{Error, Result};
use crate::session::Session;

/// Between two looks into the archive.
const PAUSE: Duration = Duration::from_millis(100);
const PROBE: &[u8] = b"damson";

/// Try out whether a backup would succeed: storage, agents, clocks, keys, archiving; every server closes a log file, and its arrival
/// in the archive is waited for, as long as DAMSON_ARCHIVE_TIMEOUT says
#[derive(Debug, Args)]
pub struct Check {
    /// JSON, for programs
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    json: bool,
}

/// One thing that was tried.
#[derive(Serialize)]
struct Line {
    check: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<i32>,
    ok: bool,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Line {
    fn of(check: &'static str, outcome: Result<String>) -> Self {
        match outcome {
            Ok(detail) => Self { check, host: None, content: None, ok: true, detail, remedy: None },
            Err(error) => {
                let (detail, remedy) = (error.to_string(), error.remedy());
                Self { check, host: None, content: None, ok: false, detail, remedy }
            }
        }
    }

    fn on(self, host: &str, content: Option<ContentId>) -> Self {
        Self { host: Some(host.to_owned()), content: content.map(|content| content.0), ..self }
    }
}

pub async fn run(session: &Session, arguments: Check) -> Result<()> {
    let limit = archive_timeout(session)?;
    let repository = session.repository()?;
    let mut lines = vec![Line::of("storage", storage(&repository).await)];
    match Cluster::discover(&session.settings).await {
        Err(error) => lines.push(Line::of("cluster", Err(error))),
        Ok(cluster) => {
            let (segments, text) = (cluster.nodes.len(), cluster.version_text());
            lines.push(Line::of("cluster", Ok(format!("{segments} servers, {text}"))));
            lines.extend(hosts_and_segments(session, &repository, &cluster.nodes, limit).await?);
        }
    }
    if session.cancel.is_cancelled() {
        return Err(Error::Interrupted);
    }
    print(&lines, arguments.json).map_err(cannot_print)?;
    match lines.iter().filter(|line| !line.ok).count() {
        0 => Ok(()),
        failed => Err(Error::Several(format!("{failed} of {} checks failed", lines.len()))),
    }
}

/// What is stored can be read again and removed.
async fn storage(repository: &Repository) -> Result<String> {
    let store = repository.store();
    let key = format!("damson-write-probe-{}", uuid::Uuid::new_v4().simple());
    store.put(&key, Bytes::from_static(PROBE)).await?;
    let read = store.get(&key).await;
    store.delete(&[key]).await?;
    if read? != PROBE {
        let what = format!("the storage {} gave back other bytes than were stored", store.describe());
        return Err(Error::refused(what, "see what lies between this host and the storage: a cache, a proxy"));
    }
    Ok(format!("{} can be written and read", store.describe()))
}

async fn hosts_and_segments(
    session: &Session,
    repository: &Repository,
    nodes: &[Node],
    limit: Duration,
) -> Result<Vec<Line>> {
    let agents = join_all(session.jobs(nodes, |_| Work::Check)?.iter().map(|job| agent(session, job))).await;
    let mut lines: Vec<Line> = agents.into_iter().flatten().collect();
    let unreachable: BTreeSet<_> =
        lines.iter().filter(|line| line.check == "agent" && !line.ok).filter_map(|line| line.host.clone()).collect();
    let nodes: Vec<_> = nodes.iter().filter(|node| !unreachable.contains(&node.hostname)).cloned().collect();

    let checked = ask(session, session.jobs(&nodes, |_| Work::Check)?).await;
    let mut sizes = BTreeMap::new();
    let mut versions = BTreeMap::<u32, Vec<ContentId>>::new();
    for node in &nodes {
        let line = match checked.of(node) {
            Ok(SegmentResult::Checked { server_version, segment_size_bytes, free_bytes }) => {
                sizes.insert(node.content, *segment_size_bytes);
                versions.entry(*server_version).or_default().push(node.content);
                let free = indicatif::BinaryBytes(*free_bytes);
                let text = format!("server {server_version} archives, storage and key work, {free} free");
                Line::of("segment", Ok(text))
            }
            Ok(_) => Line::of("segment", Err(unexpected())),
            Err(error) => Line::of("segment", Err(error)),
        };
        lines.push(line.on(&node.hostname, Some(node.content)));
    }
    if versions.len() > 1 {
        let what = format!("the servers are of different versions: {versions:?}");
        lines.push(Line::of("versions", Err(Error::refused(what, "install the same release on every host"))));
    }
    let nodes: Vec<_> = nodes.into_iter().filter(|node| sizes.contains_key(&node.content)).collect();
    if !nodes.is_empty() {
        lines.extend(log_arrives(session, repository, &nodes, &sizes, limit).await?);
    }
    Ok(lines)
}

/// Whether the host answers, with the agent of this release, and its clock.
async fn agent(session: &Session, job: &HostJob) -> Vec<Line> {
    let host = job.host.name().to_string();
    let greeting = match Agent::open(&job.host, &session.config).await {
        Ok(agent) => agent.greeting().clone(),
        Err(error) => {
            let report = ErrorReport { message: error.to_string(), remedy: error.remedy() };
            return vec![Line::of("agent", Err(Error::Remote(report))).on(&host, None)];
        }
    };
    let skew = Duration::from_nanos(greeting.clock_skew_nanos.unsigned_abs());
    let clock = match skew > TOLERATED_SKEW {
        false => Ok(format!("{:.1} s off", skew.as_secs_f64())),
        true => Err(Error::refused(
            format!("the clock is {} s off: times in backups and logs will mislead", skew.as_secs()),
            "let a time service (chrony, ntpd) set the clocks of all hosts",
        )),
    };
    let version = format!("version {}", coordinator::host::VERSION);
    vec![Line::of("agent", Ok(version)).on(&host, None), Line::of("clock", clock).on(&host, None)]
}

/// Every server closes its log file; each is waited for, and read with this host's key.
async fn log_arrives(
    session: &Session,
    repository: &Repository,
    nodes: &[Node],
    sizes: &BTreeMap<ContentId, u64>,
    limit: Duration,
) -> Result<Vec<Line>> {
    let switched = ask(session, session.jobs(nodes, |_| Work::SwitchWal)?).await;
    let begin = Instant::now();
    let lines = nodes.iter().map(|node| async {
        let outcome =
            match (switched.of(node), sizes.get(&node.content).and_then(|bytes| SegmentSize::new(*bytes).ok())) {
                (Ok(SegmentResult::Switched { timeline, lsn }), Some(size)) => {
                    let name = closed_file(*timeline, *lsn, size);
                    arrival(session, &repository.segment(node.content), &name, begin, limit).await
                }
                (Ok(_), _) => Err(unexpected()),
                (Err(error), _) => Err(error),
            };
        Line::of("wal", outcome).on(&node.hostname, Some(node.content))
    });
    Ok(join_all(lines).await)
}

fn closed_file(timeline: TimelineId, end: Lsn, size: SegmentSize) -> String {
    size.name_of(timeline, Lsn(end.0.saturating_sub(1))).file_name(size)
}

async fn arrival(
    session: &Session,
    repository: &Repository,
    name: &str,
    begin: Instant,
    limit: Duration,
) -> Result<String> {
    let names = [name.to_owned()];
    while !wal::missing(repository, &names).await?.is_empty() {
        if begin.elapsed() >= limit {
            let what = format!("log file {name} was closed, but is not in the archive after {} s", limit.as_secs());
            let remedy = "look into that server's log for failures of archive_command and at pg_stat_archiver; a slow archive needs a longer DAMSON_ARCHIVE_TIMEOUT";
            return Err(Error::refused(what, remedy));
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = session.cancel.cancelled() => return Err(Error::Interrupted),
        }
    }
    let waited = begin.elapsed().as_secs_f64();
    wal::read_to_end(repository, name, &session.cancel).await?;
    Ok(format!("log file {name} arrived within {waited:.1} s and can be read"))
}

/// What all segments of all hosts answered.
#[derive(Default)]
struct Answers {
    by_content: BTreeMap<ContentId, std::result::Result<SegmentResult, ErrorReport>>,
    by_host: BTreeMap<HostName, ErrorReport>,
}

impl Answers {
    fn of(&self, node: &Node) -> Result<&SegmentResult> {
        match self.by_content.get(&node.content) {
            Some(Ok(result)) => Ok(result),
            Some(Err(report)) => Err(Error::Remote(report.clone())),
            None => {
                Err(self.by_host.get(&HostName(node.hostname.clone())).cloned().map_or_else(unexpected, Error::Remote))
            }
        }
    }

    fn observe(&mut self, event: &Event) {
        match event {
            Event::SegmentDone { content, result } => drop(self.by_content.insert(*content, Ok(result.clone()))),
            Event::SegmentFailed { content, error } => drop(self.by_content.insert(*content, Err(error.clone()))),
            _ => {}
        }
    }
}

fn unexpected() -> Error {
    Error::refused("the agent did not report on this segment", "look into the agent's log on that host")
}

/// Each host by itself, so that the failure of one does not stop the others.
async fn ask(session: &Session, jobs: Vec<HostJob>) -> Answers {
    let each = jobs.into_iter().map(|job| async move {
        let mut answers = Answers::default();
        let observer = |_: &HostName, entry: &JournalEntry| answers.observe(&entry.event);
        let host = job.host.name().clone();
        let verdict = fanout::run(vec![job], session.lease, observer, session.cancel.clone()).await;
        if let Some(Cause::Failure { error, .. }) = verdict.cause {
            answers.by_host.insert(host, error);
        }
        answers
    });
    let mut all = Answers::default();
    for answers in join_all(each).await {
        all.by_content.extend(answers.by_content);
        all.by_host.extend(answers.by_host);
    }
    all
}

fn print(lines: &[Line], as_json: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if as_json {
        return segment_agent::listing::json::write_line(lines, &mut out);
    }
    for line in lines {
        let result = if line.ok { "ok" } else { "FAILED" };
        let content = line.content.map(|content| format!("content {content}  ")).unwrap_or_default();
        let host = line.host.as_deref().map(|host| format!("host {host}  ")).unwrap_or_default();
        writeln!(out, "{result:<6}  {:<8}  {host}{content}{}", line.check, line.detail)?;
        if let Some(remedy) = &line.remedy {
            writeln!(out, "        {remedy}")?;
        }
    }
    Ok(())
}
