//! Connection settings, as libpq takes them from the environment, the service file and the password file.

use std::path::PathBuf;
use std::time::Duration;

use crate::Error;
use crate::tls::TlsOptions;

/// How a Greenplum segment is asked for a utility-mode session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UtilityMode {
    /// An ordinary session.
    No,
    /// `-c gp_role=utility`: Greenplum 7, Cloudberry.
    GpRole,
    /// `-c gp_session_role=utility`: Greenplum 6.
    GpSessionRole,
}

/// Which of several hosts will do (`PGTARGETSESSIONATTRS`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetSession {
    Any,
    ReadWrite,
    ReadOnly,
}

/// One address to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    Tcp { name: String, port: u16 },
    /// Directory that holds `.s.PGSQL.<port>`.
    Socket { directory: PathBuf, port: u16 },
}

/// Everything needed to connect. `Debug` hides the password.
#[derive(Clone)]
pub struct ConnectOptions {
    pub(crate) hosts: Vec<Host>,
    pub(crate) user: String,
    pub(crate) database: String,
    pub(crate) password: Option<String>,
    pub(crate) passfile: Option<PathBuf>,
    pub(crate) application_name: String,
    pub(crate) options: Option<String>,
    pub(crate) connect_timeout: Duration,
    pub(crate) target_session: TargetSession,
    pub(crate) utility_mode: UtilityMode,
    pub(crate) tls: TlsOptions,
}

impl ConnectOptions {
    /// Reads `PG*` variables through `lookup`. Service file beats environment, as in libpq. Without `PGHOST`: the first
    /// existing directory of `/var/run/postgresql` and `/tmp`, else `localhost`.
    pub fn from_lookup(_lookup: &dyn Fn(&str) -> Option<String>) -> Result<ConnectOptions, Error> {
        todo!()
    }

    /// Every host on this port.
    pub fn with_port(self, _port: u16) -> Self {
        todo!()
    }

    /// This host only (a name, an address or a socket directory), on the port of the first one before.
    pub fn with_host(self, _host: &str) -> Self {
        todo!()
    }

    pub fn with_database(self, _database: &str) -> Self {
        todo!()
    }

    pub fn with_utility_mode(self, _mode: UtilityMode) -> Self {
        todo!()
    }

    /// Limit for one host from the first packet to a ready session; 10 s if never set.
    pub fn with_connect_timeout(self, _timeout: Duration) -> Self {
        todo!()
    }

    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    pub fn database(&self) -> &str {
        &self.database
    }

    pub fn user(&self) -> &str {
        &self.user
    }
}
