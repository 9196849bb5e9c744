//! A host of the cluster: a place to which bytes are carried, over SSH or to a child process of our own.
//!
//! Nothing here knows what a backup is. [`Agent`] is an open connection to `damson-agent serve`; [`install`] puts the agent
//! on a host. SSH host keys are checked against known_hosts before anything else is said (see `known_hosts`).

mod agent;
mod error;
mod install;
mod known_hosts;
mod process;
mod ssh;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

pub use agent::{Agent, Greeting};
pub use error::Error;
pub use install::{Installed, install};

/// Release of this coordinator; an agent must be of the same.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Name of a host as the cluster's catalog or restore_cfg.json gives it; what SSH is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(pub String);

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a host is reached.
#[derive(Clone, Debug)]
pub struct Host {
    name: HostName,
    route: Route,
}

#[derive(Clone, Debug)]
enum Route {
    Local { agent: PathBuf },
    Ssh(SshOptions),
}

impl Host {
    /// The coordinator's own machine: `agent` is started as a child, without SSH.
    pub fn local(name: HostName, agent: PathBuf) -> Self {
        Self { name, route: Route::Local { agent } }
    }

    pub fn ssh(name: HostName, options: SshOptions) -> Self {
        Self { name, route: Route::Ssh(options) }
    }

    pub fn name(&self) -> &HostName {
        &self.name
    }

    pub fn is_local(&self) -> bool {
        matches!(self.route, Route::Local { .. })
    }
}

/// What the settings say about SSH; all else comes from the user's ssh configuration.
#[derive(Clone, Debug)]
pub struct SshOptions {
    /// `DAMSON_SSH_CONFIG`: instead of ~/.ssh/config.
    pub config_file: Option<PathBuf>,
    /// `DAMSON_SSH_HOST_KEYS`: overrides StrictHostKeyChecking.
    pub host_keys: Option<HostKeyPolicy>,
    /// `DAMSON_CONNECT_TIMEOUT`: from nothing to the agent's greeting.
    pub connect_timeout: Duration,
    /// `DAMSON_AGENT_PATH`: where the agent stands on the host; looked for before the installed one.
    pub agent_path: Option<String>,
    /// Overrides User of the ssh configuration.
    pub user: Option<String>,
    /// Overrides Port of the ssh configuration.
    pub port: Option<u16>,
}

impl Default for SshOptions {
    fn default() -> Self {
        Self {
            config_file: None,
            host_keys: None,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            agent_path: None,
            user: None,
            port: None,
        }
    }
}

const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// What is done about a host whose key is in no known_hosts file. A key that differs from the known one is always refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostKeyPolicy {
    Strict,
    AcceptNew,
}

impl FromStr for HostKeyPolicy {
    type Err = String;

    /// The values of `DAMSON_SSH_HOST_KEYS`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "strict" => Ok(Self::Strict),
            "accept-new" => Ok(Self::AcceptNew),
            other => Err(format!("host key policy {other:?} is neither \"strict\" nor \"accept-new\"")),
        }
    }
}
