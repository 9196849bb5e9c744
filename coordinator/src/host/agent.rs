//! An open connection to `damson-agent serve`: requests in, replies out, one JSON document a line.
//!
//! Opening it reads the greeting; an agent of another release or protocol is refused, since messages may mean other
//! things there. Closing it (dropping) leaves the agent's jobs running.

use std::path::Path;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use formats::wire::{PROTOCOL_VERSION, Reply, Request};
use tokio::process::Command;
use tokio::sync::Semaphore;

use super::process::{Exit, Output, Process};
use super::ssh::Connection;
use super::{DEFAULT_CONNECT_TIMEOUT, Error, Host, HostName, Route, VERSION};

/// A longer line is no message.
const MAX_LINE_BYTES: usize = 16 << 20;
/// Lines that a login shell may print before the agent speaks.
const MAX_BANNER_LINES: usize = 100;
const STDERR_TAIL_BYTES: usize = 2000;
/// What a shell exits with when there is no such command, or it may not be run.
const NOT_RUNNABLE: [u32; 2] = [126, 127];

/// SSH handshakes at once, of all hosts together: each costs CPU on this side, and a large cluster must not run into the limits of
/// time because all of them wait for one another. Open connections are as many as hosts.
static HANDSHAKES: Semaphore = Semaphore::const_new(64);

pub struct Agent {
    host: HostName,
    local: bool,
    process: Process,
    unread: BytesMut,
    stderr: Vec<u8>,
    greeting: Greeting,
}

/// What the agent said of itself.
#[derive(Clone, Debug, Default)]
pub struct Greeting {
    /// The host's own name for itself.
    pub host: String,
    /// The host's clock minus ours, good to about the time the greeting took to come.
    pub clock_skew_nanos: i64,
}

impl Agent {
    /// Connects and reads the greeting. `config` is the settings file, named in what to do about a missing agent.
    pub async fn open(host: &Host, config: &Path) -> Result<Self, Error> {
        let limit = match &host.route {
            Route::Local { .. } => DEFAULT_CONNECT_TIMEOUT,
            Route::Ssh(options) => options.connect_timeout,
        };
        // The semaphore is never closed.
        let _turn = if host.is_local() { None } else { HANDSHAKES.acquire().await.ok() };
        let opened = async {
            let mut agent = Self {
                host: host.name.clone(),
                local: host.is_local(),
                process: start(host, config).await?,
                unread: BytesMut::new(),
                stderr: Vec::new(),
                greeting: Greeting::default(),
            };
            agent.read_greeting(config).await?;
            Ok(agent)
        };
        match tokio::time::timeout(limit, opened).await {
            Ok(result) => result,
            Err(_) => Err(Error::ConnectTimeout { host: host.name.clone(), seconds: limit.as_secs() }),
        }
    }

    pub fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    pub async fn send(&mut self, request: &Request) -> Result<(), Error> {
        let mut line = serde_json::to_vec(request).map_err(|e| self.lost(format!("a request cannot be sent: {e}")))?;
        line.push(b'\n');
        self.process.write(Bytes::from(line)).await.map_err(|why| self.lost(format!("sending a request: {why}")))
    }

    /// The next reply. May be dropped between polls. An error is the end of the connection.
    pub async fn next(&mut self) -> Result<Reply, Error> {
        match self.next_line().await? {
            Line::Text(line) => match serde_json::from_slice(&line) {
                Ok(reply) => Ok(reply),
                Err(_) => Err(self.not_protocol(&line)),
            },
            Line::End(exit) => Err(self.lost(format!("{exit}{}", self.stderr_tail()))),
        }
    }

    async fn read_greeting(&mut self, config: &Path) -> Result<(), Error> {
        let mut last = Vec::new();
        for _ in 0..MAX_BANNER_LINES {
            match self.next_line().await? {
                Line::Text(line) => match serde_json::from_slice(&line) {
                    Ok(Reply::Hello { version, protocol, host, unix_nanos }) => {
                        // What the login shell complained of is not the agent's.
                        self.stderr.clear();
                        self.greeting = Greeting { host, clock_skew_nanos: unix_nanos.saturating_sub(unix_now()) };
                        return self.check_version(version, protocol, config);
                    }
                    Ok(Reply::Refused { error }) => {
                        return Err(Error::AgentFailed { host: self.host.clone(), why: error.message });
                    }
                    _ => last = line.to_vec(),
                },
                Line::End(Exit::Code(code)) if NOT_RUNNABLE.contains(&code) => {
                    let detail = self.stderr_tail();
                    return Err(Error::AgentMissing {
                        host: self.host.clone(),
                        local: self.local,
                        config: config.to_owned(),
                        detail,
                    });
                }
                Line::End(Exit::Unknown) => return Err(self.lost("it ended before the agent's greeting".to_owned())),
                Line::End(exit) => {
                    let why = format!("{exit}{}", self.stderr_tail());
                    return Err(Error::AgentFailed { host: self.host.clone(), why });
                }
            }
        }
        Err(self.not_protocol(&last))
    }

    fn check_version(&self, theirs: String, their_protocol: u32, config: &Path) -> Result<(), Error> {
        if theirs == VERSION && their_protocol == PROTOCOL_VERSION {
            return Ok(());
        }
        Err(Error::AgentVersion {
            host: self.host.clone(),
            local: self.local,
            config: config.to_owned(),
            theirs,
            their_protocol,
            our_protocol: PROTOCOL_VERSION,
        })
    }

    async fn next_line(&mut self) -> Result<Line, Error> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.unread[searched..].iter().position(|byte| *byte == b'\n') {
                let mut line = self.unread.split_to(searched + end + 1);
                line.truncate(searched + end);
                return Ok(Line::Text(line.freeze()));
            }
            searched = self.unread.len();
            if searched > MAX_LINE_BYTES {
                return Err(self.not_protocol(&self.unread));
            }
            match self.process.next().await {
                Output::Stdout(bytes) => self.unread.extend_from_slice(&bytes),
                Output::Stderr(bytes) => self.keep_stderr(&bytes),
                Output::Exit(exit) => return Ok(Line::End(exit)),
            }
        }
    }

    fn keep_stderr(&mut self, bytes: &[u8]) {
        self.stderr.extend_from_slice(bytes);
        let excess = self.stderr.len().saturating_sub(STDERR_TAIL_BYTES);
        self.stderr.drain(..excess);
    }

    fn stderr_tail(&self) -> String {
        match String::from_utf8_lossy(&self.stderr).trim() {
            "" => String::new(),
            text => format!(": {text}"),
        }
    }

    fn lost(&self, why: String) -> Error {
        Error::Lost { host: self.host.clone(), why }
    }

    fn not_protocol(&self, line: &[u8]) -> Error {
        let line = String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned();
        Error::AgentOutput { host: self.host.clone(), line }
    }
}

enum Line {
    Text(Bytes),
    End(Exit),
}

async fn start(host: &Host, config: &Path) -> Result<Process, Error> {
    match &host.route {
        Route::Local { agent } => {
            let mut command = Command::new(agent);
            command.arg("serve");
            Process::local(command).map_err(|source| match source.kind() {
                std::io::ErrorKind::NotFound => Error::AgentMissing {
                    host: host.name.clone(),
                    local: true,
                    config: config.to_owned(),
                    detail: format!(": {} does not exist", agent.display()),
                },
                _ => Error::Spawn { host: host.name.clone(), what: agent.display().to_string(), source },
            })
        }
        Route::Ssh(options) => {
            let connection = Connection::open(&host.name, options).await?;
            Process::ssh(connection, &serve_command(options.agent_path.as_deref())).await
        }
    }
}

/// For any login shell: the first agent that can be run of the configured path, the installed one and PATH.
fn serve_command(agent_path: Option<&str>) -> String {
    let script = format!(
        "for a in \"$@\" \"$HOME/{}\"; do [ -x \"$a\" ] && exec \"$a\" serve; done; exec damson-agent serve",
        installed_path()
    );
    let mut words = vec!["exec", "sh", "-c", &script, "sh"];
    words.extend(agent_path);
    // A path with a NUL cannot be quoted; it cannot exist either.
    shlex::try_join(words).unwrap_or_else(|_| "exit 127".to_owned())
}

/// Where the installed agent stands, below the home directory.
pub(super) fn installed_path() -> String {
    format!(".local/lib/damson/damson-agent-{VERSION}")
}

fn unix_now() -> i64 {
    match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(_) => 0,
    }
}
