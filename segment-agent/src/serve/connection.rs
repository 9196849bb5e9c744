//! One connection of the coordinator.
//!
//! Requests are heard and the journal is streamed side by side, so that a reader that is slow to take events can still send
//! heartbeats and cancel. The end of the input ends the connection and nothing else: the job goes on until its lease is over.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use formats::wire::{ErrorReport, Event, JobId, JournalEntry, Outcome, PROTOCOL_VERSION, Reply, Request};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

use super::follow::JournalFollower;
use super::job_directory::{JobDirectory, JobOrder};
use super::journal::unix_millis;
use super::lines::{append_message, read_message, write_message};
use super::report::reports;
use super::state_directory::StateDirectory;
use crate::error::{Error, Result};

/// How often the journal is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Longest silence of the agent, where the lease is not so short that it has to speak more often.
const ALIVE_INTERVAL: Duration = Duration::from_secs(2);

/// So often at least the agent speaks within a lease, as the coordinator does.
const WORDS_PER_LEASE: u32 = 6;

/// Speaks the agent protocol (see [`formats::wire`]) until the job's last event is sent or `input` ends.
///
/// `start` starts the process of a new job. Only a broken connection is an error; everything else is told to the other side.
pub async fn serve<I, O, S>(input: I, mut output: O, state: &StateDirectory, start: S) -> std::io::Result<()>
where
    I: AsyncRead + Unpin,
    O: AsyncWrite + Unpin,
    S: FnOnce(&JobDirectory) -> Result<()>,
{
    let mut input = BufReader::new(input);
    write_message(&mut output, &hello()).await?;
    let opened = match read_message(&mut input).await {
        Ok(Some(Request::Jobs)) => return write_message(&mut output, &Reply::Jobs { jobs: reports(state) }).await,
        Ok(Some(request)) => open(request, state, start),
        Ok(None) => return Ok(()),
        Err(error) => Err(not_understood(&error)),
    };
    let (job, from, silence) = match opened {
        Ok(opened) => opened,
        Err(error) => return write_message(&mut output, &Reply::Refused { error: error.report() }).await,
    };
    let objection = OnceLock::new();
    tokio::select! {
        () = hear(&mut input, &job, &objection) => Ok(()),
        sent = stream(&mut output, &job, from, silence, &objection) => sent,
    }
}

fn hello() -> Reply {
    let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let unix_nanos = chrono::Utc::now().timestamp_nanos_opt().unwrap_or_default();
    Reply::Hello { version: env!("CARGO_PKG_VERSION").to_owned(), protocol: PROTOCOL_VERSION, host, unix_nanos }
}

/// The job that the first request is about, started if need be, the event to begin with, and the longest silence.
fn open(
    request: Request,
    state: &StateDirectory,
    start: impl FnOnce(&JobDirectory) -> Result<()>,
) -> Result<(JobDirectory, u64, Duration)> {
    match request {
        Request::Start { job, lease_seconds, spec } => {
            let order = JobOrder { job, lease_seconds, spec };
            Ok((start_or_find(&order, state, start)?, 0, longest_silence(&order)))
        }
        Request::Attach { job: id, from } => {
            let job = find(&id, state)?;
            job.renew_lease()?;
            let silence = longest_silence(&job.order()?);
            Ok((job, from, silence))
        }
        Request::Heartbeat | Request::Cancel | Request::Jobs => {
            Err(Error::refused("no job is attached to this connection", "begin with start or attach"))
        }
    }
}

fn longest_silence(order: &JobOrder) -> Duration {
    ALIVE_INTERVAL.min(Duration::from_secs(order.lease_seconds) / WORDS_PER_LEASE)
}

fn start_or_find(
    order: &JobOrder,
    state: &StateDirectory,
    start: impl FnOnce(&JobDirectory) -> Result<()>,
) -> Result<JobDirectory> {
    if order.lease_seconds == 0 {
        return Err(Error::refused("a lease of 0 s ends before the job starts", "ask for at least 1 s"));
    }
    if let Some(job) = state.create(order)? {
        if let Err(error) = start(&job) {
            let _ = std::fs::remove_dir_all(job.path());
            return Err(error);
        }
        state.remove_old_jobs();
        return Ok(job);
    }
    let job = find(&order.job, state)?;
    if job.order()? != *order {
        let what = format!("job {} of this host was started with another specification", order.job.0);
        return Err(Error::refused(what, "start it under another name"));
    }
    job.renew_lease()?;
    Ok(job)
}

fn find(id: &JobId, state: &StateDirectory) -> Result<JobDirectory> {
    let unknown = || Error::refused(format!("this host knows no job {}", id.0), "start it");
    state.find(id)?.ok_or_else(unknown)
}

fn not_understood(error: &std::io::Error) -> Error {
    let remedy = "run the coordinator and the agent from the same release: damson hosts install";
    Error::refused(format!("the request is not understood: {error}"), remedy)
}

/// Takes requests about the attached job until the input ends. A request that cannot be served leaves an objection, which
/// [`stream`] sends between two of its own lines.
async fn hear(input: &mut (impl AsyncBufRead + Unpin), job: &JobDirectory, objection: &OnceLock<ErrorReport>) {
    loop {
        let heard = match read_message(input).await {
            Ok(Some(Request::Heartbeat)) => job.renew_lease(),
            Ok(Some(Request::Cancel)) => job.request_cancel(),
            Ok(Some(Request::Start { .. } | Request::Attach { .. } | Request::Jobs)) => {
                Err(Error::refused("a job is attached to this connection already", "use a connection for each job"))
            }
            Ok(None) => return,
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Err(not_understood(&error)),
            Err(_) => return,
        };
        if let Err(error) = heard {
            let _ = objection.set(error.report());
            return std::future::pending().await;
        }
    }
}

async fn stream(
    output: &mut (impl AsyncWrite + Unpin),
    job: &JobDirectory,
    from: u64,
    silence: Duration,
    objection: &OnceLock<ErrorReport>,
) -> std::io::Result<()> {
    let mut follower = JournalFollower::new(job.journal_path(), from);
    let mut last_sent = Instant::now();
    loop {
        let mut news = news_of(job, &mut follower, from);
        if let Some(error) = objection.get() {
            news.replies.push(Reply::Refused { error: error.clone() });
            news.is_last = true;
        } else if news.replies.is_empty() && last_sent.elapsed() >= silence {
            news.replies.push(Reply::Alive);
        }
        if news.replies.is_empty() {
            tokio::time::sleep(POLL_INTERVAL).await;
            continue;
        }
        send(output, &news.replies).await?;
        last_sent = Instant::now();
        if news.is_last {
            return Ok(());
        }
    }
}

async fn send(output: &mut (impl AsyncWrite + Unpin), replies: &[Reply]) -> std::io::Result<()> {
    let mut lines = Vec::new();
    for reply in replies {
        append_message(&mut lines, reply)?;
    }
    output.write_all(&lines).await?;
    output.flush().await
}

struct News {
    replies: Vec<Reply>,
    is_last: bool,
}

/// What there is to tell since the last call.
fn news_of(job: &JobDirectory, follower: &mut JournalFollower, from: u64) -> News {
    // In this order: a process that ends writes its last event first.
    let read = job.is_alive().and_then(|is_alive| Ok((is_alive, follower.read_new()?)));
    match read {
        Err(error) => News { replies: vec![Reply::Refused { error: error.report() }], is_last: true },
        Ok((_, entries)) if !entries.is_empty() => {
            News { replies: entries.into_iter().map(Reply::Event).collect(), is_last: follower.is_finished() }
        }
        Ok((is_alive, _)) if is_alive && !follower.is_finished() => News { replies: Vec::new(), is_last: false },
        Ok(_) => News { replies: vec![last_word(job, follower, from)], is_last: true },
    }
}

/// What to say of a job that ended, when the journal holds nothing more from event `from` on.
fn last_word(job: &JobDirectory, follower: &JournalFollower, from: u64) -> Reply {
    let number = follower.seen();
    if follower.is_finished() || from > number {
        let what = format!("the job in {} ended; it has no event {from}", job.path().display());
        return Reply::Refused { error: Error::refused(what, "attach from an earlier event").report() };
    }
    // A process that is only late must not go on with a job that is given up here.
    if let Err(error) = job.request_cancel() {
        tracing::warn!("{error}");
    }
    let outcome = Outcome::Died { error: death_report(job) };
    let event = Event::Finished { outcome, peak_memory_bytes: 0 };
    Reply::Event(JournalEntry { number, at_millis: unix_millis(), event })
}

fn death_report(job: &JobDirectory) -> ErrorReport {
    let mut message = "the agent process of the job died before the job was finished".to_owned();
    if let Some(line) = job.last_printed() {
        message = format!("{message}; the last it printed: {line}");
    }
    let remedy = format!(
        "look in {} and in the kernel's log (was it killed, was memory short?), then run the command again",
        job.log_path().display()
    );
    ErrorReport { message, remedy: Some(remedy) }
}
