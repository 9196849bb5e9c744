//! What can go wrong between the coordinator and a host, and what to do about it.

use std::io;
use std::path::PathBuf;

use formats::wire::ErrorReport;
use thiserror::Error;

use super::{HostName, VERSION};

/// Display says what was being done, to which host, why it failed; [`Error::remedy`] says what to do.
#[derive(Debug, Error)]
pub enum Error {
    #[error("asking ssh for the configuration of host {host}: {why}")]
    SshConfig { host: HostName, why: String },
    #[error("connecting to host {host} at {address}: {source}")]
    Connect { host: HostName, address: String, source: io::Error },
    #[error("connecting to host {host}: no answer within {seconds} s")]
    ConnectTimeout { host: HostName, seconds: u64 },
    #[error("reading the known host keys in {}: {source}", file.display())]
    KnownHostsFile { file: PathBuf, source: io::Error },
    #[error("host {host} is not known: its key {fingerprint} is in none of {files}")]
    HostKeyUnknown { host: HostName, address: String, port: u16, fingerprint: String, files: String },
    #[error(
        "the key of host {host} is not the known one: it shows {fingerprint}, but {}:{line} holds another key; \
         somebody may be listening in",
        file.display()
    )]
    HostKeyChanged { host: HostName, name: String, fingerprint: String, file: PathBuf, line: usize },
    #[error("the key {fingerprint} of host {host} is revoked at {}:{line}", file.display())]
    HostKeyRevoked { host: HostName, fingerprint: String, file: PathBuf, line: usize },
    #[error("logging in to host {host} as {user}: {tried}")]
    Authentication { host: HostName, user: String, tried: String },
    #[error("talking SSH with host {host}: {source}")]
    Ssh { host: HostName, source: russh::Error },
    #[error("starting {what} for host {host}: {source}")]
    Spawn { host: HostName, what: String, source: io::Error },
    #[error("host {host} has no damson-agent {VERSION} that can be run{detail}")]
    AgentMissing { host: HostName, local: bool, config: PathBuf, detail: String },
    #[error(
        "the agent on host {host} is version {theirs} (protocol {their_protocol}), this is version {VERSION} \
         (protocol {our_protocol})"
    )]
    AgentVersion {
        host: HostName,
        local: bool,
        config: PathBuf,
        theirs: String,
        their_protocol: u32,
        our_protocol: u32,
    },
    #[error("the agent on host {host} said what is not the protocol: {line:?}")]
    AgentOutput { host: HostName, line: String },
    #[error("the agent on host {host} ended before its greeting: {why}")]
    AgentFailed { host: HostName, why: String },
    #[error("the connection to the agent on host {host} was lost: {why}")]
    Lost { host: HostName, why: String },
    #[error("installing the agent on host {host}: {why}")]
    Install { host: HostName, why: String },
}

impl Error {
    /// True where another attempt can succeed without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::ConnectTimeout { .. } | Self::Ssh { .. } | Self::Lost { .. })
    }

    /// What to do, in words for a person.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Connect { .. } | Self::ConnectTimeout { .. } => {
                Some("check that the host is up and that ssh to it works for this user".into())
            }
            Self::HostKeyUnknown { address, port, .. } => Some(format!(
                "compare the key with the host's own, then run: ssh-keyscan -p {port} {address} >> ~/.ssh/known_hosts; or \
                 set DAMSON_SSH_HOST_KEYS to accept-new"
            )),
            Self::HostKeyChanged { name, file, .. } => Some(format!(
                "if the host was reinstalled, run: ssh-keygen -R '{name}' -f {}; and add its new key",
                file.display()
            )),
            Self::HostKeyRevoked { .. } => Some("give the host a new key".into()),
            Self::Authentication { .. } => {
                Some("add the user's public key to the host's authorized_keys, or load the key into ssh-agent".into())
            }
            Self::AgentMissing { local, config, .. } | Self::AgentVersion { local, config, .. } => {
                Some(install_hint(*local, config))
            }
            _ => None,
        }
    }

    /// As it is shown and carried on.
    pub fn report(&self) -> ErrorReport {
        ErrorReport { message: self.to_string(), remedy: self.remedy() }
    }
}

fn install_hint(local: bool, config: &std::path::Path) -> String {
    match local {
        true => "install damson and damson-agent of one release side by side on this host".into(),
        false => format!("run: damson hosts install --config {}", config.display()),
    }
}
