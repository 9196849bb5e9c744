//! Servers as child processes: logged to a file, waited for with a limit, ended by their own process id.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a server may take to end before SIGKILL.
const END_LIMIT: Duration = Duration::from_secs(20);

/// A running server. Dropped, it gets its end signal, then SIGKILL after a limit.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    end_signal: Signal,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` with both outputs appended to `log`. `end_signal` asks it to end when it is dropped.
    pub fn spawn(name: &str, mut command: Command, log: &Path, end_signal: Signal) -> Process {
        command.stdout(append(log));
        Process::spawn_with_stdout(name, command, log, end_signal)
    }

    /// [`Process::spawn`] for a command whose standard output the caller has set: only standard error goes to `log`.
    pub fn spawn_with_stdout(name: &str, mut command: Command, log: &Path, end_signal: Signal) -> Process {
        command.stderr(append(log));
        let child = command.spawn().unwrap_or_else(|e| panic!("start {name} ({command:?}): {e}"));
        Process { name: name.to_string(), child, log: log.to_path_buf(), end_signal, status: None }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Everything logged so far.
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The exit status, once it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().unwrap();
        }
        self.status
    }

    /// Waits until `condition` holds; panics with the log's end when the process ends first or the limit passes.
    pub fn wait_until(&mut self, what: &str, limit: Duration, mut condition: impl FnMut(&mut Process) -> bool) {
        let deadline = Instant::now() + limit;
        while !condition(self) {
            if let Some(status) = self.ended() {
                // It may have come about between the last look and the end.
                if condition(self) {
                    return;
                }
                panic!("{} ended ({status}) before {what}:\n{}", self.name, self.log_end());
            }
            if Instant::now() > deadline {
                panic!("{} took more than {limit:?} until {what}:\n{}", self.name, self.log_end());
            }
            pause();
        }
    }

    /// Sends a signal; a process that has ended is left alone.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            let _ = kill(self.pid(), signal);
        }
    }

    /// Waits for the end; `None` when it still runs at the limit.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        while self.ended().is_none() && Instant::now() < deadline {
            pause();
        }
        self.status
    }

    /// Sends `signal`, and SIGKILL when the process still runs after a limit; returns how it ended.
    pub fn end(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        if self.wait(END_LIMIT).is_none() {
            self.signal(Signal::SIGKILL);
            self.status = Some(self.child.wait().unwrap_or_else(|_| ExitStatus::from_raw(9)));
        }
        self.status.unwrap_or_else(|| ExitStatus::from_raw(9))
    }

    fn log_end(&self) -> String {
        let text = self.log_text();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end(self.end_signal);
    }
}

/// Waits until `condition` holds; panics naming `what` when the limit passes.
pub fn wait_for(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !condition() {
        assert!(Instant::now() < deadline, "after {limit:?} still no {what}");
        pause();
    }
}

/// Process ids of this machine for which `keep(pid)` holds.
pub fn process_ids(keep: impl Fn(i32) -> bool) -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter(|pid| keep(*pid)).map(Pid::from_raw).collect()
}

/// The children of a process, found through the parent links in /proc.
pub(crate) fn children_of(parent: Pid) -> Vec<Pid> {
    process_ids(|pid| parent_of(pid) == Some(parent.as_raw()))
}

/// Field 4 of /proc/PID/stat; the command before it stands in parentheses and may hold anything.
fn parent_of(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

pub(crate) fn append(path: &Path) -> File {
    let opened = File::options().create(true).append(true).open(path);
    opened.unwrap_or_else(|e| panic!("open the log {}: {e}", path.display()))
}

/// Between two looks at a condition.
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(15));
}
