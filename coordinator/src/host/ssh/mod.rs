//! One SSH connection to a host.
//!
//! Connecting resolves the host as the user's ssh does, checks the host key before anything else, then logs in with the
//! keys ssh would use. Keepalive notices a dead host within about 20 seconds.

mod auth;
mod destination;
mod host_key;

use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, Handle, Msg};
use russh::{Channel, Preferred, cipher};
use russh_sftp::client::SftpSession;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use self::destination::Destination;
use self::host_key::{HostKeyCheck, SessionError};
use super::known_hosts::{KnownHosts, lookup_name};
use super::{Error, HostName, SshOptions};

const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_MAX: usize = 3;

/// An authenticated connection. Dropping it ends it.
pub(super) struct Connection {
    host: HostName,
    session: Handle<HostKeyCheck>,
    /// ProxyCommand or ProxyJump; killed on drop.
    _proxy: Option<Child>,
}

impl Connection {
    /// Resolves, connects, checks the host key, logs in. The caller bounds the time.
    pub(super) async fn open(host: &HostName, options: &SshOptions) -> Result<Self, Error> {
        let destination = destination::resolve(host, options).await?;
        let known = known_hosts(&destination)?;
        let config = Arc::new(client_config(&known));
        let check = HostKeyCheck::new(&destination, known);
        let (opened, proxy) = match &destination.proxy_command {
            None => {
                let stream = connect_tcp(&destination).await?;
                (client::connect_stream(config, stream, check).await, None)
            }
            Some(command) => {
                let (stream, child) = start_proxy(host, command)?;
                (client::connect_stream(config, stream, check).await, Some(child))
            }
        };
        let mut session = opened.map_err(|error| match error {
            SessionError::Refused(refusal) => *refusal,
            SessionError::Ssh(source) => Error::Ssh { host: host.clone(), source },
        })?;
        auth::log_in(&mut session, &destination).await?;
        Ok(Self { host: host.clone(), session, _proxy: proxy })
    }

    /// Starts `command` in the user's shell on the host.
    pub(super) async fn exec(&self, command: &str) -> Result<Channel<Msg>, Error> {
        let channel = self.session.channel_open_session().await.map_err(|source| self.failed(source))?;
        channel.exec(true, command).await.map_err(|source| self.failed(source))?;
        Ok(channel)
    }

    /// Opens the SFTP subsystem.
    pub(super) async fn sftp(&self) -> Result<SftpSession, Error> {
        let channel = self.session.channel_open_session().await.map_err(|source| self.failed(source))?;
        channel.request_subsystem(true, "sftp").await.map_err(|source| self.failed(source))?;
        SftpSession::new(channel.into_stream())
            .await
            .map_err(|e| Error::Install { host: self.host.clone(), why: format!("opening SFTP: {e}") })
    }

    fn failed(&self, source: russh::Error) -> Error {
        Error::Ssh { host: self.host.clone(), source }
    }
}

fn known_hosts(destination: &Destination) -> Result<KnownHosts, Error> {
    let files: Vec<_> = destination.user_known_hosts.iter().chain(&destination.global_known_hosts).cloned().collect();
    KnownHosts::read(&files, &known_name(destination)).map_err(|(file, source)| Error::KnownHostsFile { file, source })
}

/// HostKeyAlias stands for itself, without a port.
fn known_name(destination: &Destination) -> String {
    match &destination.host_key_alias {
        Some(alias) => alias.to_ascii_lowercase(),
        None => lookup_name(&destination.address, destination.port),
    }
}

/// The algorithms known for the host come first, so that a host with several keys shows the known one.
fn client_config(known: &KnownHosts) -> client::Config {
    let defaults = Preferred::default();
    let names = known.algorithms();
    let (first, rest): (Vec<_>, Vec<_>) =
        defaults.key.iter().cloned().partition(|algorithm| names.contains(&host_key::family(algorithm).as_str()));
    let ciphers = vec![
        cipher::AES_256_GCM,
        cipher::CHACHA20_POLY1305,
        cipher::AES_256_CTR,
        cipher::AES_192_CTR,
        cipher::AES_128_CTR,
    ];
    client::Config {
        preferred: Preferred { key: [first, rest].concat().into(), cipher: ciphers.into(), ..defaults },
        keepalive_interval: Some(KEEPALIVE_INTERVAL),
        keepalive_max: KEEPALIVE_MAX,
        nodelay: true,
        ..client::Config::default()
    }
}

async fn connect_tcp(destination: &Destination) -> Result<TcpStream, Error> {
    let failed = |source| Error::Connect {
        host: destination.host.clone(),
        address: format!("{}:{}", destination.address, destination.port),
        source,
    };
    let stream = TcpStream::connect((destination.address.as_str(), destination.port)).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    Ok(stream)
}

type ProxyStream = tokio::io::Join<tokio::process::ChildStdout, tokio::process::ChildStdin>;

fn start_proxy(host: &HostName, command: &str) -> Result<(ProxyStream, Child), Error> {
    let failed = |source| Error::Spawn { host: host.clone(), what: format!("the proxy command {command:?}"), source };
    let mut child = Command::new("sh")
        .args(["-c", &format!("exec {command}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    match (child.stdout.take(), child.stdin.take()) {
        (Some(stdout), Some(stdin)) => Ok((tokio::io::join(stdout, stdin), child)),
        _ => Err(failed(io::Error::other("it has no standard streams"))),
    }
}
