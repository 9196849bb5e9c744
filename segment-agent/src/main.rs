//! `damson-agent`: one per host, started by the coordinator over SSH, and the archive commands of its servers.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use formats::wire::Outcome;
use segment_agent::error::Error;
use segment_agent::logs;
use segment_agent::serve::{JobDirectory, StateDirectory, execute, run_job, serve, spawn_detached};
use tokio::runtime::{Builder, Runtime};

#[derive(Parser)]
#[command(name = "damson-agent", version, about = "Backs up and restores the servers of one host")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Speak the agent protocol over stdin and stdout
    Serve,
    /// Run the job of a directory
    #[command(hide = true)]
    Job { directory: PathBuf },
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    let done = match arguments.command {
        Command::Serve => run_serve(),
        Command::Job { directory } => run_detached(directory),
    };
    done.unwrap_or_else(|error| {
        let remedy = error.remedy().map(|remedy| format!("; {remedy}")).unwrap_or_default();
        eprintln!("Error: {error}{remedy}");
        ExitCode::FAILURE
    })
}

fn run_serve() -> Result<ExitCode, Error> {
    let environment = |name: &str| std::env::var(name).ok();
    logs::install(logs::Level::Normal, &logs::Destination::Stderr)?;
    let state = StateDirectory::locate(&environment)?;
    let runtime = start(&mut Builder::new_current_thread())?;
    let served = runtime.block_on(serve(tokio::io::stdin(), tokio::io::stdout(), &state, spawn_detached));
    // A thread of the runtime may still be reading stdin.
    runtime.shutdown_background();
    served.map_err(|source| Error::file("speaking to the coordinator over", "stdin and stdout", source))?;
    Ok(ExitCode::SUCCESS)
}

fn run_detached(directory: PathBuf) -> Result<ExitCode, Error> {
    // Fails for a leader of a process group, that is, when a person starts it from a shell: then it stays there.
    let _ = nix::unistd::setsid();
    let directory = JobDirectory::new(directory);
    let runtime = start(Builder::new_multi_thread().worker_threads(2))?;
    let outcome = runtime.block_on(run_job(&directory, execute));
    // Abandoned work may still run.
    runtime.shutdown_background();
    Ok(if outcome? == Outcome::Done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn start(builder: &mut Builder) -> Result<Runtime, Error> {
    builder.enable_all().build().map_err(|source| Error::file("starting", "the runtime", source))
}
