//! `damson-agent`: one per host, started by the coordinator over SSH, and the archive commands of its servers.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use formats::wire::Outcome;
use segment_agent::cli::{self, Parsed, Seg};
use segment_agent::error::Error;
use segment_agent::logs;
use segment_agent::serve::{JobDirectory, StateDirectory, execute, run_job, serve, spawn_detached};
use tokio::runtime::{Builder, Runtime};

#[derive(Parser)]
#[command(name = "damson-agent", version, about = "Backs up and restores the servers of one host")]
struct Arguments {
    /// Settings file; without it, the one that WALG_CONFIG_PATH names
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

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
    /// What a segment's server calls
    Seg(Seg),
}

fn main() -> ExitCode {
    let Parsed { arguments, flags } = match cli::parse::<Arguments>("GreenplumDB") {
        Ok(parsed) => parsed,
        Err(exit) => return exit,
    };
    let done = match arguments.command {
        Command::Serve => run_serve(),
        Command::Job { directory } => run_detached(directory),
        Command::Seg(seg) => run_segment(&seg, arguments.config, flags),
    };
    done.unwrap_or_else(|error| cli::report(&error))
}

fn run_serve() -> Result<ExitCode, Error> {
    logs::install(logs::Level::Normal, &logs::Destination::Stderr)?;
    let state = StateDirectory::locate(&|name| std::env::var(name).ok())?;
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

/// Without a runtime: the server waits for every single call. `flags`: settings given on the command line.
fn run_segment(seg: &Seg, config: Option<PathBuf>, flags: Vec<(String, String)>) -> Result<ExitCode, Error> {
    let settings = cli::load_settings(config, flags, settings::Kind::Greenplum)?;
    Ok(cli::run_seg(&settings, seg))
}

fn start(builder: &mut Builder) -> Result<Runtime, Error> {
    builder.enable_all().build().map_err(|source| Error::file("starting", "the runtime", source))
}
