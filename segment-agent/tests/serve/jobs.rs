//! Jobs that tests can hold and watch, in this process and in one of their own.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use formats::wire::{JobSpec, Outcome};
use segment_agent::error::Result;
use segment_agent::serve::{JobDirectory, Journal, run_job};
use tokio_util::sync::CancellationToken;

use super::phase;

/// Reports, then waits for its end.
pub async fn patient(_: JobSpec, journal: Journal, cancel: CancellationToken) -> Outcome {
    journal.record(phase("waiting"));
    cancel.cancelled().await;
    Outcome::Cancelled { why: String::new() }
}

pub async fn brief(_: JobSpec, journal: Journal, _: CancellationToken) -> Outcome {
    for number in 0..100 {
        journal.record(phase(&format!("step {number}")));
    }
    Outcome::Done
}

/// Runs a job as a task of this process.
pub fn here<E, W>(execute: E) -> impl FnOnce(&JobDirectory) -> Result<()> + Send
where
    E: FnOnce(JobSpec, Journal, CancellationToken) -> W + Send + 'static,
    W: Future<Output = Outcome> + Send,
{
    move |directory| {
        let directory = directory.clone();
        tokio::spawn(async move { run_job(&directory, execute).await });
        Ok(())
    }
}

/// Runs a patient job in a process of its own; see [`job_process`].
pub fn apart(directory: &JobDirectory) -> Result<()> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "jobs::job_process", "--ignored"]).env("TEST_JOB", directory.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    std::thread::spawn(move || child.wait());
    Ok(())
}

#[test]
#[ignore = "the process of a job, started by other tests"]
fn job_process() {
    let Some(directory) = std::env::var_os("TEST_JOB") else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run_job(&JobDirectory::new(PathBuf::from(directory)), patient)).unwrap();
}
