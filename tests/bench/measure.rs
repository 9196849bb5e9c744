//! Wall time, CPU time and peak memory of commands, as the operating system accounts for them.
//!
//! The kernel sums up the finished children of a process and never forgets them, so each measurement runs in a process of
//! its own: this program, started again with a hidden subcommand. That process also adopts the orphans of what it runs, so
//! that work left to a background process is counted as CPU time, though not as wall time.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use rig::{Scratch, User};
use serde_json::{Value, json};

/// First argument of the measuring process.
pub const SUBCOMMAND: &str = "measure-commands";

/// Program and arguments.
pub type Words = Vec<String>;

/// What one run of a contender took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Taken {
    pub wall_seconds: f64,
    /// User and system time of all processes.
    pub cpu_seconds: f64,
    /// Resident memory of the largest process, in MB (2^20).
    pub peak_mb: f64,
}

/// Starts measuring processes, as the rig's user.
pub struct Stopwatch {
    program: PathBuf,
    directory: PathBuf,
    log: PathBuf,
}

impl Stopwatch {
    /// Puts this program where the rig's user can read it.
    pub fn install(scratch: &Scratch) -> Stopwatch {
        let program = scratch.dir("bench").join("rig-bench");
        std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        Stopwatch { program, directory: scratch.dir("bench"), log: scratch.dir("logs").join("bench.log") }
    }

    /// Runs commands one after the other; panics with the end of what they printed if one fails.
    pub fn measure(&self, commands: &[Words]) -> Taken {
        self.try_measure(commands).unwrap_or_else(|message| panic!("{message}"))
    }

    /// [`Stopwatch::measure`] that hands out the message of a failure.
    pub fn try_measure(&self, commands: &[Words]) -> Result<Taken, String> {
        let plan = self.directory.join("plan.json");
        User::get().write(&plan, json!(commands).to_string(), 0o600);
        let log = rig_log(&self.log);
        let mut measuring = User::get().command(&self.program);
        let output = measuring.arg(SUBCOMMAND).arg(&plan).stderr(log).output().unwrap();
        if !output.status.success() {
            return Err(format!("{}\n{}", String::from_utf8_lossy(&output.stdout), end_of(&self.log)));
        }
        let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
        let figure = |name: &str| figures[name].as_f64().unwrap();
        Ok(Taken { wall_seconds: figure("wall"), cpu_seconds: figure("cpu"), peak_mb: figure("peak_mb") })
    }
}

/// The measuring process: runs the commands of a file, prints the figures as JSON.
pub fn run() -> ExitCode {
    let plan = std::env::args_os().nth(2).expect("a plan");
    let commands: Value = serde_json::from_slice(&std::fs::read(&plan).unwrap()).unwrap();
    nix::sys::prctl::set_child_subreaper(true).unwrap();
    let start = Instant::now();
    for words in commands.as_array().unwrap() {
        let mut words = words.as_array().unwrap().iter().map(|word| word.as_str().unwrap());
        let mut command = Command::new(words.next().unwrap());
        let status = command.args(words).stdin(Stdio::null()).stdout(std::io::stderr()).status();
        if !status.as_ref().is_ok_and(|status| status.success()) {
            println!("{command:?} failed: {status:?}");
            return ExitCode::FAILURE;
        }
    }
    let wall = start.elapsed().as_secs_f64();
    while nix::sys::wait::wait().is_ok() {}
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let cpu = (usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6;
    println!("{}", json!({"wall": wall, "cpu": cpu, "peak_mb": usage.max_rss() as f64 / 1024.0}));
    ExitCode::SUCCESS
}

fn rig_log(path: &Path) -> File {
    File::options().create(true).append(true).open(path).unwrap()
}

fn end_of(log: &Path) -> String {
    let text = String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
