//! The built binaries, the settings file, and commands run as the rig's user with a limit of time.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::process::Process;
use crate::{Host, Scratch, User};

const BINARIES: [&str; 4] = ["damson", "damson-agent", "damson-pg", "gpbackup_damson_plugin"];

/// How long a command may take unless the caller says otherwise.
const RUN_LIMIT: Duration = Duration::from_secs(180);

/// The product as installed for one test: `<scratch>/bin` and `<scratch>/damson.yaml`.
#[derive(Debug)]
pub struct Product {
    pub bin: PathBuf,
    pub config: PathBuf,
    /// Environment of every command besides PATH, LANG and USER; HOME and DAMSON_STATE_DIR are those of a host.
    pub environment: Vec<(String, OsString)>,
    logs: PathBuf,
    count: AtomicUsize,
}

/// What a command left behind.
#[derive(Clone, Debug)]
pub struct Output {
    pub command: String,
    /// `None` when a signal ended it.
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A command under way. Dropped, it gets SIGTERM, then SIGKILL.
#[derive(Debug)]
pub struct Running {
    command: String,
    stdout: PathBuf,
    process: Process,
}

impl Product {
    /// Installs the binaries for commands run on `host` (the coordinator's). No settings file is written yet.
    pub fn install(scratch: &Scratch, host: &Host) -> Product {
        let bin = scratch.dir("bin");
        for name in BINARIES {
            install(&built(name), &bin);
        }
        let home = ("HOME".to_string(), host.home.clone().into_os_string());
        let state = ("DAMSON_STATE_DIR".to_string(), host.state_dir.clone().into_os_string());
        let logs = scratch.dir("logs");
        let config = scratch.join("damson.yaml");
        Product { bin, config, environment: vec![home, state], logs, count: AtomicUsize::new(0) }
    }

    /// Path of an installed binary.
    pub fn path(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// Makes a link `wal-g` to a binary, as an installation in WAL-G's place has, and returns its path.
    pub fn link_wal_g(&self, name: &str) -> PathBuf {
        let link = self.bin.join("wal-g");
        std::os::unix::fs::symlink(name, &link).unwrap();
        link
    }

    /// Writes the settings file (YAML, mode 600) anew.
    pub fn write_config(&self, settings: &[(String, String)]) {
        // A JSON string is a YAML double-quoted one.
        let line = |(name, value): &(String, String)| format!("{name}: {}\n", serde_json::to_string(value).unwrap());
        let text: String = settings.iter().map(line).collect();
        User::get().write(&self.config, text, 0o600);
    }

    /// The archive_command of a segment.
    pub fn archive_command(&self, content: i32) -> String {
        let (damson, config) = (self.path("damson"), self.config.display());
        format!("{} seg wal-push %p --content-id={content} --config {config}", damson.display())
    }

    /// A command of a binary, run as the user with this product's environment. Outputs are up to the caller.
    pub fn command(&self, name: &str, args: &[&str]) -> Command {
        let mut command = User::get().command(self.path(name));
        command.args(args).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// `damson --config <settings file> ARGS`, run to its end; panics when that takes too long.
    pub fn damson(&self, args: &[&str]) -> Output {
        self.spawn_damson(args).wait(RUN_LIMIT)
    }

    /// [`Product::damson`] in the background.
    pub fn spawn_damson(&self, args: &[&str]) -> Running {
        let config = self.config.to_str().unwrap();
        self.spawn(self.command("damson", &[&["--config", config], args].concat()))
    }

    /// Runs a command (from [`Product::command`], changed as wished) to its end.
    pub fn run(&self, command: Command) -> Output {
        self.spawn(command).wait(RUN_LIMIT)
    }

    /// Starts a command; its outputs go to numbered files in the scratch directory's `logs`.
    pub fn spawn(&self, mut command: Command) -> Running {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let stdout = self.logs.join(format!("command-{number:02}.out"));
        let stderr = self.logs.join(format!("command-{number:02}.err"));
        let text = text_of(&command);
        command.stdout(std::fs::File::create(&stdout).unwrap());
        let process = Process::spawn_with_stdout(&text, command, &stderr, Signal::SIGTERM);
        Running { command: text, stdout, process }
    }
}

impl Running {
    pub fn pid(&self) -> Pid {
        self.process.pid()
    }

    pub fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }

    pub fn is_running(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// Standard error so far.
    pub fn stderr(&self) -> String {
        self.process.log_text()
    }

    /// Waits until standard error holds `text`; panics when the command ends before.
    pub fn wait_for_stderr(&mut self, text: &str, limit: Duration) {
        self.wait_until(&format!("it printed {text:?}"), limit, |so_far| so_far.contains(text));
    }

    /// Waits until a condition on the world, and on standard error so far, holds; panics when the command ends before.
    pub fn wait_until(&mut self, what: &str, limit: Duration, mut condition: impl FnMut(&str) -> bool) {
        self.process.wait_until(what, limit, |process| condition(&process.log_text()));
    }

    /// Waits for the end; panics, having ended the command, when it takes longer than `limit`.
    pub fn wait(mut self, limit: Duration) -> Output {
        let status = self.process.wait(limit);
        let stdout = String::from_utf8_lossy(&std::fs::read(&self.stdout).unwrap()).into_owned();
        let stderr = self.stderr();
        let Some(status) = status else {
            panic!("{} did not end within {limit:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}", self.command);
        };
        Output { command: self.command.clone(), status: status.code(), stdout, stderr }
    }
}

impl Output {
    /// Asserts success without a warning or an error in the log; returns itself.
    #[track_caller]
    pub fn ok(self) -> Output {
        self.ok_despite(&[])
    }

    /// Asserts success; every warning must hold one of the expected texts.
    #[track_caller]
    pub fn ok_despite(self, expected: &[&str]) -> Output {
        assert!(self.status == Some(0), "the command should succeed\n{}", self.report());
        let complaints = self.complaints();
        let surprise = complaints.iter().find(|line| !expected.iter().any(|text| line.contains(text)));
        assert!(surprise.is_none(), "unexpected: {}\n{}", surprise.unwrap(), self.report());
        self
    }

    /// Asserts exit status `status` and every one of `texts` in standard error; returns itself.
    #[track_caller]
    pub fn fails(self, status: i32, texts: &[&str]) -> Output {
        assert!(self.status == Some(status), "exit status {status} was expected\n{}", self.report());
        for text in texts {
            assert!(self.stderr.contains(text), "{text:?} should stand in the message\n{}", self.report());
        }
        self
    }

    /// Lines of standard error whose level (one of the first words) is WARN, WARNING or ERROR.
    pub fn complaints(&self) -> Vec<&str> {
        let level = |word: &str| matches!(word.trim_matches([':', '[', ']']), "WARN" | "WARNING" | "ERROR");
        self.stderr.lines().filter(|line| line.split_whitespace().take(3).any(level)).collect()
    }

    /// Command, status and both outputs, for a message.
    pub fn report(&self) -> String {
        let Output { command, status, stdout, stderr } = self;
        format!("{command}\nstatus {status:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// The folder of the built binaries (`target/debug`): the parent of the running program, or of its `deps`.
pub(crate) fn build_dir() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let dir = program.parent().unwrap();
    if dir.ends_with("deps") { dir.parent().unwrap().to_path_buf() } else { dir.to_path_buf() }
}

/// Path of a built binary; panics with advice when it is missing.
pub(crate) fn built(name: &str) -> PathBuf {
    let path = build_dir().join(name);
    assert!(path.is_file(), "{} is not built: run `cargo build --workspace` first", path.display());
    path
}

/// Puts a program where the user can read it: a hard link where possible, else a copy. Installing twice is fine.
pub(crate) fn install(program: &Path, bin: &Path) -> PathBuf {
    let target = bin.join(program.file_name().unwrap());
    if !target.exists() && std::fs::hard_link(program, &target).is_err() {
        std::fs::copy(program, &target).unwrap_or_else(|e| panic!("copy {}: {e}", program.display()));
    }
    target
}

fn text_of(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
