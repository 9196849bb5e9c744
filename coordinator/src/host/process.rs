//! A running command on a host: its standard input, what it says, and how it ended. Local child or SSH channel.
//!
//! [`Process::next`] may be dropped between polls without losing a byte. The end is told after all output, also where SSH
//! tells the exit status first.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::ssh::Connection;
use super::{Error, HostName};

const READ_BYTES: usize = 64 << 10;
/// A request is far smaller than the SSH window and a pipe is read at once: a longer wait means nobody reads.
const WRITE_LIMIT: Duration = Duration::from_secs(15);
/// Standard error number of SSH's extended data (RFC 4254, 5.2).
const EXTENDED_STDERR: u32 = 1;

/// What a process said or that it is over.
#[derive(Debug)]
pub(super) enum Output {
    Stdout(Bytes),
    Stderr(Bytes),
    Exit(Exit),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    Code(u32),
    Signal(String),
    /// The connection ended without saying how the process did.
    Unknown,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(name) => write!(f, "ended by signal {name}"),
            Self::Unknown => f.write_str("the connection ended"),
        }
    }
}

pub(super) enum Process {
    Local(Box<LocalProcess>),
    Ssh(Box<SshProcess>),
}

pub(super) struct LocalProcess {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
}

pub(super) struct SshProcess {
    read: ChannelReadHalf,
    write: ChannelWriteHalf<Msg>,
    exit: Option<Exit>,
    /// All output was read.
    is_over: bool,
    _connection: Connection,
}

impl Process {
    /// Starts a child in a process group of its own, so that a terminal's interrupt reaches only the coordinator.
    pub(super) fn local(mut command: Command) -> std::io::Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        Ok(Self::Local(Box::new(LocalProcess { child, stdin, stdout, stderr })))
    }

    /// Starts `command` in the user's shell; the process owns the connection.
    pub(super) async fn ssh(connection: Connection, command: &str) -> Result<Self, Error> {
        let (read, write) = connection.exec(command).await?.split();
        Ok(Self::Ssh(Box::new(SshProcess { read, write, exit: None, is_over: false, _connection: connection })))
    }

    /// Writes all of `bytes` to its standard input; the error says why not.
    pub(super) async fn write(&mut self, bytes: Bytes) -> Result<(), String> {
        let written = async {
            match self {
                Self::Local(process) => match &mut process.stdin {
                    Some(stdin) => {
                        stdin.write_all(&bytes).await.map_err(|e| e.to_string())?;
                        stdin.flush().await.map_err(|e| e.to_string())
                    }
                    None => Err("its standard input is closed".to_owned()),
                },
                // A writer that waits for the window of a process that ended would wait for ever.
                Self::Ssh(process) if process.is_over => Err("it ended".to_owned()),
                Self::Ssh(process) => process.write.data_bytes(bytes).await.map_err(|e| e.to_string()),
            }
        };
        match tokio::time::timeout(WRITE_LIMIT, written).await {
            Ok(result) => result,
            Err(_) => Err(format!("it read nothing for {} s", WRITE_LIMIT.as_secs())),
        }
    }

    /// The next piece of output; [`Output::Exit`] is the last one and is repeated.
    pub(super) async fn next(&mut self) -> Output {
        match self {
            Self::Local(process) => process.next().await,
            Self::Ssh(process) => process.next().await,
        }
    }
}

impl LocalProcess {
    async fn next(&mut self) -> Output {
        while self.stdout.is_some() || self.stderr.is_some() {
            let (mut out, mut err) = (BytesMut::with_capacity(READ_BYTES), BytesMut::with_capacity(READ_BYTES));
            tokio::select! {
                read = read_some(&mut self.stdout, &mut out), if self.stdout.is_some() => match read {
                    true => return Output::Stdout(out.freeze()),
                    false => self.stdout = None,
                },
                read = read_some(&mut self.stderr, &mut err), if self.stderr.is_some() => match read {
                    true => return Output::Stderr(err.freeze()),
                    false => self.stderr = None,
                },
            }
        }
        match self.child.wait().await {
            Ok(status) => Output::Exit(exit_of(status)),
            Err(_) => Output::Exit(Exit::Unknown),
        }
    }
}

/// False at the end of the stream.
async fn read_some(stream: &mut Option<impl tokio::io::AsyncRead + Unpin>, into: &mut BytesMut) -> bool {
    match stream {
        Some(stream) => matches!(stream.read_buf(into).await, Ok(read) if read > 0),
        None => false,
    }
}

fn exit_of(status: ExitStatus) -> Exit {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code.unsigned_abs()),
        (None, Some(signal)) => Exit::Signal(signal.to_string()),
        (None, None) => Exit::Unknown,
    }
}

impl SshProcess {
    async fn next(&mut self) -> Output {
        loop {
            match self.read.wait().await {
                Some(ChannelMsg::Data { data }) => return Output::Stdout(data),
                Some(ChannelMsg::ExtendedData { data, ext: EXTENDED_STDERR }) => return Output::Stderr(data),
                Some(ChannelMsg::ExitStatus { exit_status }) => self.exit = Some(Exit::Code(exit_status)),
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                    self.exit = Some(Exit::Signal(format!("{signal_name:?}")));
                }
                Some(ChannelMsg::Failure) => self.exit = Some(Exit::Code(127)),
                Some(_) => {}
                None => {
                    self.is_over = true;
                    return Output::Exit(self.exit.clone().unwrap_or(Exit::Unknown));
                }
            }
        }
    }
}

/// All output of a short command, or why it failed. `limit` bounds the whole of it.
pub(super) async fn collect(host: &HostName, mut process: Process, limit: Duration) -> Result<String, Error> {
    let failed = |why: String| Error::Install { host: host.clone(), why };
    let run = async {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        loop {
            match process.next().await {
                Output::Stdout(bytes) => out.extend_from_slice(&bytes),
                Output::Stderr(bytes) => err.extend_from_slice(&bytes),
                Output::Exit(exit) => return (exit, out, err),
            }
        }
    };
    let (exit, out, err) =
        tokio::time::timeout(limit, run).await.map_err(|_| failed(format!("no end after {} s", limit.as_secs())))?;
    match exit {
        Exit::Code(0) => Ok(String::from_utf8_lossy(&out).into_owned()),
        exit => Err(failed(format!("{exit}: {}", String::from_utf8_lossy(&err).trim()))),
    }
}
