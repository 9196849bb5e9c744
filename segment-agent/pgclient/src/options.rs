//! Connection settings, as libpq takes them from the environment and the service file.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::tls::{SslMode, TlsOptions};
use crate::{Error, service};

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
    /// `address` (`PGHOSTADDR`) saves resolving `name`.
    Tcp { name: String, address: Option<IpAddr>, port: u16 },
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
    pub(crate) application_name: Option<String>,
    pub(crate) options: Option<String>,
    pub(crate) connect_timeout: Duration,
    pub(crate) target_session: TargetSession,
    pub(crate) utility_mode: UtilityMode,
    pub(crate) tls: TlsOptions,
}

/// libpq's keywords and their variables.
const VARIABLES: [(&str, &str); 15] = [
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("port", "PGPORT"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("passfile", "PGPASSFILE"),
    ("dbname", "PGDATABASE"),
    ("application_name", "PGAPPNAME"),
    ("options", "PGOPTIONS"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("sslmode", "PGSSLMODE"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("sslrootcert", "PGSSLROOTCERT"),
];

const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl ConnectOptions {
    /// Reads `PG*` variables through `lookup`; a service (`PGSERVICE`) beats them, as in libpq. Without `PGHOST`: the
    /// first existing directory of `/var/run/postgresql` and `/tmp`, else `localhost`. The password file is read when a
    /// connection is made.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<ConnectOptions, Error> {
        let lookup = |name: &str| lookup(name).filter(|text| !text.is_empty());
        let home = lookup("HOME").map(PathBuf::from).or_else(std::env::home_dir);
        let variables = VARIABLES.iter().filter_map(|(keyword, name)| Some((keyword.to_string(), lookup(name)?)));
        let mut given: BTreeMap<String, String> = variables.collect();
        if let Some(name) = lookup("PGSERVICE") {
            let own = lookup("PGSERVICEFILE").map(PathBuf::from);
            let own = own.or_else(|| Some(home.as_ref()?.join(".pg_service.conf")));
            let system = lookup("PGSYSCONFDIR").map(|folder| PathBuf::from(folder).join("pg_service.conf"));
            given.extend(service::read(&name, &own.into_iter().chain(system).collect::<Vec<_>>())?);
        }
        from_keywords(&given, home)
    }

    /// Every host on this port.
    pub fn with_port(mut self, new: u16) -> Self {
        for host in &mut self.hosts {
            match host {
                Host::Tcp { port, .. } | Host::Socket { port, .. } => *port = new,
            }
        }
        self
    }

    /// This host only (a name, an address or a socket directory), on the port of the first one before.
    pub fn with_host(mut self, host: &str) -> Self {
        let port = self.hosts.first().map_or(5432, Host::port);
        self.hosts = vec![Host::new(host, None, port)];
        self
    }

    pub fn with_database(mut self, database: &str) -> Self {
        self.database = database.to_owned();
        self
    }

    pub fn with_utility_mode(mut self, mode: UtilityMode) -> Self {
        self.utility_mode = mode;
        self
    }

    /// Limit for one host from the first packet to a ready session; 10 s if never set.
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
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

impl Host {
    fn new(text: &str, address: Option<IpAddr>, port: u16) -> Host {
        match text.starts_with('/') {
            true => Host::Socket { directory: PathBuf::from(text), port },
            false => Host::Tcp { name: text.to_owned(), address, port },
        }
    }

    pub fn port(&self) -> u16 {
        match self {
            Host::Tcp { port, .. } | Host::Socket { port, .. } => *port,
        }
    }
}

/// `host:port`, or the path of the socket.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Tcp { name, port, .. } if name.contains(':') => write!(f, "[{name}]:{port}"),
            Host::Tcp { name, port, .. } => write!(f, "{name}:{port}"),
            Host::Socket { directory, port } => write!(f, "{}/.s.PGSQL.{port}", directory.display()),
        }
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("hosts", &self.hosts)
            .field("user", &self.user)
            .field("database", &self.database)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("passfile", &self.passfile)
            .field("options", &self.options)
            .field("utility_mode", &self.utility_mode)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

fn from_keywords(given: &BTreeMap<String, String>, home: Option<PathBuf>) -> Result<ConnectOptions, Error> {
    let text = |keyword: &str| given.get(keyword).cloned();
    let path = |keyword: &str| text(keyword).map(PathBuf::from);
    let user = match text("user") {
        Some(user) => user,
        None => os_user().ok_or_else(|| invalid("user", "not set, and the operating system names none"))?,
    };
    let in_home = |name: &str| home.as_ref().map(|home| home.join(name));
    Ok(ConnectOptions {
        hosts: hosts(text("host"), text("hostaddr"), text("port"))?,
        database: text("dbname").unwrap_or_else(|| user.clone()),
        user,
        password: text("password"),
        passfile: path("passfile").or_else(|| in_home(".pgpass")),
        application_name: text("application_name"),
        options: text("options"),
        connect_timeout: match text("connect_timeout").map(|text| text.trim().parse::<u64>()) {
            None | Some(Ok(0)) => DEFAULT_CONNECT_TIMEOUT,
            Some(Ok(seconds)) => Duration::from_secs(seconds),
            Some(Err(_)) => return Err(invalid("connect_timeout", "expected a number of seconds")),
        },
        target_session: match text("target_session_attrs").as_deref() {
            None | Some("any") => TargetSession::Any,
            Some("read-write" | "primary") => TargetSession::ReadWrite,
            Some("read-only" | "standby") => TargetSession::ReadOnly,
            Some(_) => return Err(invalid("target_session_attrs", "expected any, read-write or read-only")),
        },
        utility_mode: UtilityMode::No,
        tls: TlsOptions {
            mode: text("sslmode").map_or(Ok(SslMode::Prefer), |mode| mode.parse())?,
            root_cert: path("sslrootcert"),
            cert: path("sslcert"),
            key: path("sslkey"),
            home: in_home(".postgresql"),
        },
    })
}

fn hosts(names: Option<String>, addresses: Option<String>, ports: Option<String>) -> Result<Vec<Host>, Error> {
    let list = |text: Option<String>| text.map(|text| text.split(',').map(|item| item.trim().to_owned()).collect());
    let addresses: Vec<String> = list(addresses).unwrap_or_default();
    let names: Vec<String> = match list(names) {
        Some(names) => names,
        None if !addresses.is_empty() => addresses.clone(),
        None => vec![String::new()],
    };
    let ports: Vec<String> = list(ports).unwrap_or_else(|| vec![String::new()]);
    if ports.len() != 1 && ports.len() != names.len() {
        return Err(invalid(
            "port",
            &format!("{} ports for {} hosts: give one, or one each", ports.len(), names.len()),
        ));
    }
    if !addresses.is_empty() && addresses.len() != names.len() {
        return Err(invalid("hostaddr", &format!("{} addresses for {} hosts", addresses.len(), names.len())));
    }
    let host = |(at, name): (usize, &String)| {
        let port = match ports[at.min(ports.len() - 1)].as_str() {
            "" => 5432,
            port => {
                port.parse().ok().filter(|port| *port != 0).ok_or_else(|| invalid("port", "expected 1 to 65535"))?
            }
        };
        let address = addresses.get(at).filter(|address| !address.is_empty()).map(|address| address.parse());
        let address = address.transpose().map_err(|_| invalid("hostaddr", "expected a numeric address"))?;
        let name = if name.is_empty() { default_host() } else { name };
        Ok(Host::new(name, address, port))
    };
    names.iter().enumerate().map(host).collect()
}

fn default_host() -> &'static str {
    let mut folders = ["/var/run/postgresql", "/tmp"].into_iter();
    folders.find(|folder| std::path::Path::new(folder).is_dir()).unwrap_or("localhost")
}

fn os_user() -> Option<String> {
    nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|user| user.name)
}

pub(crate) fn invalid(keyword: &str, reason: &str) -> Error {
    let name = VARIABLES.iter().find(|(known, _)| *known == keyword).map_or(keyword, |(_, name)| name);
    Error::Invalid { setting: name.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(vars: &[(&str, &str)]) -> Result<ConnectOptions, Error> {
        let given = |name: &str| vars.iter().find(|(known, _)| *known == name).map(|(_, text)| text.to_string());
        ConnectOptions::from_lookup(&given)
    }

    fn addresses(vars: &[(&str, &str)]) -> String {
        let options = options(vars).unwrap();
        options.hosts().iter().map(Host::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn hosts_and_ports() {
        assert_eq!(addresses(&[("PGHOST", "a,/s, ::1"), ("PGPORT", "6000")]), "a:6000 /s/.s.PGSQL.6000 [::1]:6000");
        assert_eq!(addresses(&[("PGHOST", "a,b"), ("PGPORT", "1,")]), "a:1 b:5432");
        assert_eq!(addresses(&[("PGHOSTADDR", "192.0.2.1")]), "192.0.2.1:5432");
        assert!(addresses(&[]).ends_with("5432"));
        let one = options(&[("PGHOST", "a,b"), ("PGPORT", "1,2")]).unwrap();
        assert_eq!(one.clone().with_port(7).hosts().iter().map(Host::port).collect::<Vec<_>>(), [7, 7]);
        assert_eq!(one.with_host("/s").hosts()[0].to_string(), "/s/.s.PGSQL.1");
    }

    #[test]
    fn names_default_to_each_other() {
        let given = options(&[("PGUSER", "gpadmin"), ("PGDATABASE", "")]).unwrap();
        assert_eq!((given.user(), given.database()), ("gpadmin", "gpadmin"));
        assert_eq!(given.connect_timeout, DEFAULT_CONNECT_TIMEOUT);
        assert!(!options(&[]).unwrap().user().is_empty());
    }

    #[test]
    fn what_is_wrong_is_named_by_its_variable() {
        for (name, text) in [
            ("PGPORT", "x"),
            ("PGPORT", "0"),
            ("PGPORT", "70000"),
            ("PGPORT", "1,2"),
            ("PGHOSTADDR", "example"),
            ("PGSSLMODE", "on"),
            ("PGCONNECT_TIMEOUT", "10s"),
            ("PGTARGETSESSIONATTRS", "best"),
            ("PGSERVICE", "none"),
        ] {
            let error = options(&[(name, text), ("PGSERVICEFILE", "/nonexistent")]).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Invalid);
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
