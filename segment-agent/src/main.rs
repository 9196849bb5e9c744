//! `damson-agent`: one per host, started by the coordinator over SSH, and the archive commands of its servers.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use formats::ContentId;
use formats::wire::Outcome;
use segment_agent::cli::{self, ArchiveCommand, run_archive_command};
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
    /// Archive commands of one segment
    #[command(subcommand)]
    Seg(SegmentCommand),
}

#[derive(Subcommand)]
enum SegmentCommand {
    /// Store a WAL file: archive_command
    WalPush {
        /// Path of the file (%p)
        path: PathBuf,
        #[command(flatten)]
        segment: Segment,
    },
    /// Fetch a WAL file: restore_command; exits with 74 if it is not in the archive
    WalFetch {
        /// Name of the file (%f)
        name: String,
        /// Where to write it (%p)
        destination: PathBuf,
        #[command(flatten)]
        segment: Segment,
    },
}

#[derive(Args)]
struct Segment {
    /// Content id of the segment; -1 for the coordinator
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    content_id: i32,
    /// Settings file; without it, the one that WALG_CONFIG_PATH names
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    let (rest, flags) = settings::split_flags(std::env::args_os());
    let arguments = match Arguments::try_parse_from(rest) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    let done = match arguments.command {
        Command::Serve => run_serve(),
        Command::Job { directory } => run_detached(directory),
        Command::Seg(command) => run_segment(command, flags),
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
fn run_segment(command: SegmentCommand, flags: Vec<(String, String)>) -> Result<ExitCode, Error> {
    let (segment, command) = match command {
        SegmentCommand::WalPush { path, segment } => (segment, ArchiveCommand::Push(path)),
        SegmentCommand::WalFetch { name, destination, segment } => {
            (segment, ArchiveCommand::Fetch { name, destination })
        }
    };
    let settings = cli::load_settings(segment.config, flags, settings::Kind::Greenplum)?;
    Ok(run_archive_command(&settings, Some(ContentId(segment.content_id)), &command))
}

fn start(builder: &mut Builder) -> Result<Runtime, Error> {
    builder.enable_all().build().map_err(|source| Error::file("starting", "the runtime", source))
}
