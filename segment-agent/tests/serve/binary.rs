//! The real binary, which starts real jobs.

use std::io::{BufRead, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use formats::wire::{Event, JournalEntry, Outcome, PROTOCOL_VERSION, Reply, Request};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{attach, entry_of, job_path, outcome_of, refusal_of, start, start_request};

/// The coordinator's end of its streams.
struct Agent {
    child: Child,
    input: ChildStdin,
    output: std::io::BufReader<ChildStdout>,
}

impl Agent {
    fn serve(state: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_damson-agent"));
        command.arg("serve").env("DAMSON_STATE_DIR", state).env_remove("WALG_CONFIG_PATH");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let output = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut agent = Self { child, input, output };
        let Reply::Hello { version, protocol, host, unix_nanos } = agent.next().unwrap() else { panic!("no greeting") };
        assert_eq!((version.as_str(), protocol), (env!("CARGO_PKG_VERSION"), PROTOCOL_VERSION));
        assert!(!host.is_empty() && unix_nanos > 0);
        agent
    }

    fn send(&mut self, request: &Request) {
        writeln!(self.input, "{}", serde_json::to_string(request).unwrap()).unwrap();
    }

    fn next(&mut self) -> Option<Reply> {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap())
    }

    fn event(&mut self) -> JournalEntry {
        loop {
            match self.next().expect("an event, not the end") {
                Reply::Alive => {}
                reply => return entry_of(reply),
            }
        }
    }

    fn end(self) -> bool {
        let Self { mut child, input, output } = self;
        drop((input, output));
        child.wait().unwrap().success()
    }
}

#[test]
fn the_binary_runs_a_job_apart_and_tells_its_failure() {
    let state = tempfile::tempdir().unwrap();
    let mut agent = Agent::serve(state.path());
    agent.send(&start("check-1"));
    let started = agent.event();
    let Event::Started { pid } = started.event else { panic!("{started:?}") };
    assert_ne!(pid, agent.child.id());
    let finished = agent.event();
    let Outcome::Failed { error } = outcome_of(&finished) else { panic!("{finished:?}") };
    assert!(error.message.contains("/nonexistent/config.yaml"), "{error:?}");
    assert_eq!(agent.next(), None);
    assert!(agent.end());
    let job = job_path(state.path(), "check-1");
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&job), 0o700);
    for file in ["spec.json", "lease", "journal.jsonl", "log"] {
        assert_eq!(mode(&job.join(file)), 0o600, "{file}");
    }
    let mut agent = Agent::serve(state.path());
    agent.send(&attach("check-1", 0));
    assert_eq!((agent.event(), agent.event()), (started, finished));
}

#[test]
fn the_binary_ends_with_its_input_and_its_job_does_not() {
    let state = tempfile::tempdir().unwrap();
    // A job that reads its settings from a pipe waits until somebody writes them.
    let pipe = state.path().join("config.yaml");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut agent = Agent::serve(state.path());
    agent.send(&start_request("waiting", &pipe, 3600));
    let Event::Started { pid } = agent.event().event else { panic!("not started") };
    let pid = Pid::from_raw(pid as i32);
    assert_eq!(nix::unistd::getsid(Some(pid)).unwrap(), pid, "a session of its own");
    assert!(agent.end());

    let mut agent = Agent::serve(state.path());
    agent.send(&attach("waiting", 1));
    kill(pid, Signal::SIGKILL).unwrap();
    let last = agent.event();
    let Outcome::Died { error } = outcome_of(&last) else { panic!("{last:?}") };
    assert!(error.message.contains("died before the job was finished"), "{error:?}");
    assert_eq!((last.number, agent.next()), (1, None));
}

#[test]
fn the_binary_passes_over_a_torn_line_of_a_dead_job() {
    let state = tempfile::tempdir().unwrap();
    let mut agent = Agent::serve(state.path());
    agent.send(&start("torn"));
    let started = agent.event();
    agent.event();
    agent.end();
    let job = job_path(state.path(), "torn");
    let journal = job.join("journal.jsonl");
    let whole = std::fs::read(&journal).unwrap();
    std::fs::write(&journal, &whole[..whole.len() - 20]).unwrap();
    std::fs::write(job.join("log"), "thread 'x' panicked\nout of luck\n\n").unwrap();
    let mut agent = Agent::serve(state.path());
    agent.send(&attach("torn", 0));
    assert_eq!(agent.event(), started);
    let last = agent.event();
    let Outcome::Died { error } = outcome_of(&last) else { panic!("{last:?}") };
    assert_eq!(last.number, 1);
    assert!(error.message.contains("died") && error.message.ends_with("out of luck"), "{error:?}");
}

#[test]
fn the_binary_refuses_and_explains() {
    let state = tempfile::tempdir().unwrap();
    let mut agent = Agent::serve(state.path());
    agent.send(&attach("nobody", 0));
    assert_eq!(refusal_of(agent.next().unwrap()), "this host knows no job nobody");
    assert_eq!(agent.next(), None);
    assert!(agent.end());

    let run = |arguments: &[&str]| Command::new(env!("CARGO_BIN_EXE_damson-agent")).args(arguments).output().unwrap();
    let version = run(&["--version"]);
    assert_eq!(String::from_utf8_lossy(&version.stdout), concat!("damson-agent ", env!("CARGO_PKG_VERSION"), "\n"));
    assert_eq!((run(&[]).status.code(), run(&["dance"]).status.code()), (Some(1), Some(1)));
    assert_eq!((run(&["job", "/nonexistent"]).status.code(), run(&["--help"]).status.code()), (Some(1), Some(0)));
}
