//! Puts the agent on a host: over SFTP to a temporary name, proved to run there, then renamed into place.
//!
//! An agent of this release that already stands there keeps working until the rename, and running ones beyond it.

use std::path::Path;
use std::time::Duration;

use russh_sftp::client::SftpSession;
use russh_sftp::protocol::{FileAttributes, OpenFlags};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::agent::installed_path;
use super::process::{Process, collect};
use super::ssh::Connection;
use super::{Error, Host, HostName, Route, SshOptions, VERSION};

const COPY_BYTES: usize = 256 << 10;
const COMMAND_LIMIT: Duration = Duration::from_secs(60);
/// For one answer of the SFTP server.
const SFTP_ANSWER_SECONDS: u64 = 60;
const EXECUTABLE: u32 = 0o755;

/// What was done on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Installed {
    /// The agent stands at this path.
    At(String),
    /// The coordinator's own host runs the agent beside the coordinator; nothing was copied.
    Local,
}

/// Copies the agent binary `source` to `host`.
pub async fn install(host: &Host, source: &Path) -> Result<Installed, Error> {
    match &host.route {
        Route::Local { agent } => {
            let mut command = tokio::process::Command::new(agent);
            command.arg("--version");
            let what = agent.display().to_string();
            let process =
                Process::local(command).map_err(|source| Error::Spawn { host: host.name.clone(), what, source })?;
            check_version(&host.name, &collect(&host.name, process, COMMAND_LIMIT).await?)?;
            Ok(Installed::Local)
        }
        Route::Ssh(options) => install_over_ssh(&host.name, options, source).await.map(Installed::At),
    }
}

async fn install_over_ssh(host: &HostName, options: &SshOptions, source: &Path) -> Result<String, Error> {
    let failed = |why: String| Error::Install { host: host.clone(), why };
    let said = run(host, options, r#"mkdir -p "$HOME/.local/lib/damson" && cd "$HOME" && pwd"#, &[]).await?;
    // The last line: a login shell may print its own before.
    let home = said.lines().last().unwrap_or_default().trim_end_matches('/');
    if !home.starts_with('/') {
        return Err(failed(format!("the home directory {home:?} is not an absolute path")));
    }
    let target = format!("{home}/{}", installed_path());
    let temporary = format!("{target}.{}.tmp", uuid::Uuid::new_v4().simple());

    let connection = connect(host, options).await?;
    let sftp = connection.sftp().await?;
    sftp.set_timeout(SFTP_ANSWER_SECONDS);
    let installed = async {
        copy(&sftp, source, &temporary).await.map_err(|why| failed(format!("copying to {temporary}: {why}")))?;
        let said = run(host, options, r#""$1" --version"#, &[&temporary]).await?;
        check_version(host, &said)?;
        run(host, options, r#"mv -f "$1" "$2""#, &[&temporary, &target]).await
    };
    if let Err(error) = installed.await {
        if let Err(leftover) = sftp.remove_file(&temporary).await {
            tracing::debug!(%host, "removing {temporary}: {leftover}");
        }
        return Err(error);
    }
    Ok(target)
}

async fn connect(host: &HostName, options: &SshOptions) -> Result<Connection, Error> {
    let seconds = options.connect_timeout.as_secs();
    match tokio::time::timeout(options.connect_timeout, Connection::open(host, options)).await {
        Ok(result) => result,
        Err(_) => Err(Error::ConnectTimeout { host: host.clone(), seconds }),
    }
}

/// Runs a shell script with arguments `$1`... whatever the login shell is.
async fn run(host: &HostName, options: &SshOptions, script: &str, arguments: &[&str]) -> Result<String, Error> {
    let words = ["exec", "sh", "-c", script, "sh"].into_iter().chain(arguments.iter().copied());
    let command =
        shlex::try_join(words).map_err(|e| Error::Install { host: host.clone(), why: format!("{script}: {e}") })?;
    let process = Process::ssh(connect(host, options).await?, &command).await?;
    collect(host, process, COMMAND_LIMIT).await
}

async fn copy(sftp: &SftpSession, source: &Path, temporary: &str) -> Result<(), String> {
    let mut from = tokio::fs::File::open(source).await.map_err(|e| format!("reading {}: {e}", source.display()))?;
    let flags = OpenFlags::CREATE | OpenFlags::EXCLUDE | OpenFlags::WRITE;
    let mut to = sftp.open_with_flags(temporary, flags).await.map_err(|e| e.to_string())?;
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let read = from.read(&mut buffer).await.map_err(|e| format!("reading {}: {e}", source.display()))?;
        if read == 0 {
            break;
        }
        to.write_all(&buffer[..read]).await.map_err(|e| e.to_string())?;
    }
    to.flush().await.map_err(|e| e.to_string())?;
    // Does nothing where the server has no fsync extension.
    to.sync_all().await.map_err(|e| e.to_string())?;
    let mode = FileAttributes { permissions: Some(EXECUTABLE), ..FileAttributes::empty() };
    to.set_metadata(mode).await.map_err(|e| e.to_string())?;
    to.close().await.map_err(|e| e.to_string())
}

fn check_version(host: &HostName, said: &str) -> Result<(), Error> {
    match said.split_whitespace().any(|word| word == VERSION) {
        true => Ok(()),
        false => Err(Error::Install {
            host: host.clone(),
            why: format!("the agent says it is {:?}, this is version {VERSION}", said.trim()),
        }),
    }
}
