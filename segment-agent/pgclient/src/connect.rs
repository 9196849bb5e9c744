//! Making a session: hosts in order, `sslmode`'s attempts, Greenplum's utility modes.

use std::error::Error as _;
use std::time::Duration;

use rustls::ClientConfig;
use tokio_postgres::config::{SslMode as WireSslMode, TargetSessionAttrs};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{ConnectOptions, Error, ErrorKind, Host, Server, SslMode, TargetSession, UtilityMode, passfile};

/// SQLSTATE of a wrong password.
const INVALID_PASSWORD: &str = "28P01";

impl Server {
    /// Tries the hosts in order; the first that works. A refused password ends the search, as in libpq.
    pub async fn connect(options: &ConnectOptions) -> Result<Server, Error> {
        connect_as(options, options.utility_mode).await
    }

    /// A segment: as [`Server::connect`], then in utility mode with each of its two spellings; the first that works. A mode
    /// set in `options` is tried first.
    pub async fn connect_segment(options: &ConnectOptions) -> Result<Server, Error> {
        let first = match Server::connect(options).await {
            Err(error) if refused_by_server(&error) => error,
            result => return result,
        };
        for mode in [UtilityMode::No, UtilityMode::GpRole, UtilityMode::GpSessionRole] {
            if mode == options.utility_mode {
                continue;
            }
            match connect_as(options, mode).await {
                Err(error) if refused_by_server(&error) => {}
                result => return result,
            }
        }
        Err(first)
    }
}

/// The server spoke and said no, but not because of the password: another kind of session may do.
fn refused_by_server(error: &Error) -> bool {
    matches!(error, Error::Denied { sqlstate, .. } if sqlstate != INVALID_PASSWORD)
}

async fn connect_as(options: &ConnectOptions, mode: UtilityMode) -> Result<Server, Error> {
    let mut failures: Vec<Error> = Vec::new();
    for host in &options.hosts {
        match connect_host(options, host, mode).await {
            Ok(server) => return Ok(server),
            Err(error) if matches!(&error, Error::Invalid { .. }) => return Err(error),
            Err(error) if matches!(&error, Error::Denied { sqlstate, .. } if sqlstate.starts_with("28")) => {
                return Err(error);
            }
            Err(error) => failures.push(error),
        }
    }
    match (failures.pop(), failures.is_empty()) {
        (Some(only), true) => Err(only),
        (last, _) => {
            failures.extend(last);
            let list = |texts: Vec<String>, by: &str| texts.join(by);
            Err(Error::Unreachable {
                address: list(options.hosts.iter().map(Host::to_string).collect(), ", "),
                user: options.user.clone(),
                database: options.database.clone(),
                reason: list(failures.iter().map(Error::to_string).collect(), "; "),
            })
        }
    }
}

/// One try with or without encryption.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encrypted {
    No,
    IfOffered,
    Yes,
}

fn attempts(mode: SslMode, host: &Host) -> &'static [Encrypted] {
    match (host, mode) {
        (Host::Socket { .. }, _) | (_, SslMode::Disable) => &[Encrypted::No],
        (_, SslMode::Allow) => &[Encrypted::No, Encrypted::Yes],
        (_, SslMode::Prefer) => &[Encrypted::IfOffered, Encrypted::No],
        (_, SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull) => &[Encrypted::Yes],
    }
}

async fn connect_host(options: &ConnectOptions, host: &Host, mode: UtilityMode) -> Result<Server, Error> {
    let mut first = None;
    for encrypted in attempts(options.tls.mode, host) {
        let opening = open(options, host, mode, *encrypted);
        match tokio::time::timeout(options.connect_timeout, opening).await {
            Ok(Ok(server)) => return Ok(server),
            Ok(Err(error)) if matches!(error.kind(), ErrorKind::Denied) || is_tls_failure(&error) => {
                first = first.or(Some(error));
            }
            Ok(Err(error)) => return Err(first.unwrap_or(error)),
            Err(_) => return Err(Error::ConnectTimeout { address: host.to_string(), after: options.connect_timeout }),
        }
    }
    Err(first.unwrap_or_else(|| unreachable(options, host, "no way to connect".to_owned())))
}

/// The client library tells its kinds of failure apart by their text only.
fn is_tls_failure(error: &Error) -> bool {
    matches!(error, Error::Unreachable { reason, .. } if reason.contains("TLS"))
}

async fn open(options: &ConnectOptions, host: &Host, mode: UtilityMode, encrypted: Encrypted) -> Result<Server, Error> {
    let mut config = wire_config(options, host, mode);
    let client = match encrypted {
        Encrypted::No => session(config.ssl_mode(WireSslMode::Disable), NoTls).await,
        Encrypted::IfOffered | Encrypted::Yes => {
            let tls: ClientConfig = options.tls.client_config()?;
            let wanted = if encrypted == Encrypted::Yes { WireSslMode::Require } else { WireSslMode::Prefer };
            session(config.ssl_mode(wanted), MakeRustlsConnect::new(tls)).await
        }
    };
    let client = client.map_err(|error| refusal(options, host, &error))?;
    let mut server = Server { client, address: host.to_string(), version_num: 0 };
    let version = server.value("asking for the server version", "SHOW server_version_num").await?;
    server.version_num = server.parsed("asking for the server version", version)?;
    Ok(server)
}

async fn session<T>(config: &Config, tls: T) -> Result<Client, tokio_postgres::Error>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, connection) = config.connect(tls).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            // The next query of the session reports it; this one tells when.
            tracing::debug!("a server connection ended: {}", with_causes(&error));
        }
    });
    Ok(client)
}

fn wire_config(options: &ConnectOptions, host: &Host, mode: UtilityMode) -> Config {
    let mut config = Config::new();
    match host {
        Host::Tcp { name, address, port } => {
            config.host(name).port(*port);
            if let Some(address) = address {
                config.hostaddr(*address);
            }
        }
        Host::Socket { directory, port } => {
            config.host_path(directory).port(*port);
        }
    }
    config.user(&options.user).dbname(&options.database).connect_timeout(options.connect_timeout);
    // A host that vanished is noticed within a minute or so, also while a query waits.
    config.keepalives_idle(Duration::from_secs(30)).keepalives_interval(Duration::from_secs(10)).keepalives_retries(3);
    if let Some(name) = &options.application_name {
        config.application_name(name);
    }
    let from_file = || passfile::find(options.passfile.as_ref()?, host, &options.database, &options.user);
    if let Some(password) = options.password.clone().or_else(from_file) {
        config.password(password);
    }
    let utility = match mode {
        UtilityMode::No => None,
        UtilityMode::GpRole => Some("-c gp_role=utility"),
        UtilityMode::GpSessionRole => Some("-c gp_session_role=utility"),
    };
    let start_options: Vec<&str> = options.options.as_deref().into_iter().chain(utility).collect();
    if !start_options.is_empty() {
        config.options(start_options.join(" "));
    }
    config.target_session_attrs(match options.target_session {
        TargetSession::Any => TargetSessionAttrs::Any,
        TargetSession::ReadWrite => TargetSessionAttrs::ReadWrite,
        TargetSession::ReadOnly => TargetSessionAttrs::ReadOnly,
    });
    config
}

fn refusal(options: &ConnectOptions, host: &Host, error: &tokio_postgres::Error) -> Error {
    let (reason, sqlstate) = match error.as_db_error() {
        Some(answer) => {
            let hint = answer.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
            (format!("{}{hint}", answer.message()), answer.code().code().to_owned())
        }
        // The client library's own words, known by their text only.
        None if with_causes(error).contains("password missing") => {
            let reason =
                "the server asks for a password and none is known: set PGPASSWORD or add a line to the password file";
            (reason.to_owned(), INVALID_PASSWORD.to_owned())
        }
        None => return unreachable(options, host, with_causes(error)),
    };
    let (user, database) = (options.user.clone(), options.database.clone());
    Error::Denied { address: host.to_string(), user, database, reason, sqlstate }
}

fn unreachable(options: &ConnectOptions, host: &Host, reason: String) -> Error {
    let (user, database) = (options.user.clone(), options.database.clone());
    Error::Unreachable { address: host.to_string(), user, database, reason }
}

/// The error with what caused it, each once.
pub(crate) fn with_causes(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
