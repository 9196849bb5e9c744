//! A PostgreSQL server of a test: its own directory, port and operating system user; gone when dropped.

#![allow(clippy::unwrap_used, clippy::expect_used, dead_code)]

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use pgclient::{ConnectOptions, Server};

const BIN: &str = "/usr/lib/postgresql/15/bin";
/// PostgreSQL refuses to run as root.
const USER: &str = "damson-test";

pub struct TestServer {
    folder: tempfile::TempDir,
    pub port: u16,
    process: Child,
}

impl TestServer {
    /// A fresh cluster with these lines at the top of pg_hba.conf and at the end of postgresql.conf; the superuser
    /// `postgres` comes in through the socket without a password.
    pub async fn start(hba: &str, conf: &str) -> TestServer {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        give(folder.path());
        let data = folder.path().join("data");
        let made = command("initdb")
            .args(["--no-sync", "--no-instructions", "-U", "postgres", "--auth=trust", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success());
        std::fs::write(data.join("pg_hba.conf"), format!("local all all trust\n{hba}\n")).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = std::fs::read_to_string(data.join("postgresql.conf")).unwrap();
        let own = format!(
            "port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\nfsync = off\n\
             logging_collector = off\n{conf}\n",
            folder.path().display()
        );
        std::fs::write(data.join("postgresql.conf"), format!("{settings}\n{own}")).unwrap();
        let process = spawn(folder.path());
        let server = TestServer { folder, port, process };
        server.wait_until_ready().await;
        server
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// Writes a file that the server can read and nobody else.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        give(&path);
        path
    }

    /// Options for the socket and the superuser, with these variables on top.
    pub fn options(&self, vars: &[(&str, &str)]) -> ConnectOptions {
        let (socket, port) = (self.folder().to_str().unwrap().to_owned(), self.port.to_string());
        let lookup = |name: &str| {
            let given = vars.iter().find(|(known, _)| *known == name).map(|(_, text)| text.to_string());
            given.or_else(|| match name {
                "PGHOST" => Some(socket.clone()),
                "PGPORT" => Some(port.clone()),
                "PGUSER" | "PGDATABASE" => Some("postgres".to_owned()),
                "HOME" => Some(socket.clone()),
                _ => None,
            })
        };
        ConnectOptions::from_lookup(&lookup).unwrap()
    }

    pub async fn connect(&self) -> Server {
        Server::connect(&self.options(&[])).await.unwrap()
    }

    /// An immediate shutdown, as a crash would be.
    pub async fn crash(&mut self) {
        self.pg_ctl("immediate");
        self.process.wait().unwrap();
    }

    /// Restarts it as a standby that follows nobody; `SELECT pg_promote()` makes it a primary again.
    pub async fn restart_as_standby(&mut self) {
        self.pg_ctl("fast");
        self.process.wait().unwrap();
        self.write("data/standby.signal", "");
        self.process = spawn(self.folder.path());
        self.wait_until_ready().await;
    }

    fn pg_ctl(&self, mode: &str) {
        let stop = command("pg_ctl").args(["stop", "-W", "-s", "-m", mode, "-D"]).arg(self.data()).status();
        assert!(stop.unwrap().success());
    }

    async fn wait_until_ready(&self) {
        for _ in 0..600 {
            if Server::connect(&self.options(&[])).await.is_ok() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        let log = std::fs::read_to_string(self.folder().join("log")).unwrap_or_default();
        assert!(log.is_empty(), "the server does not start: {log}");
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            let stop = command("pg_ctl").args(["stop", "-W", "-s", "-m", "immediate", "-D"]).arg(self.data()).status();
            if stop.is_ok() {
                let _ = self.process.wait();
            }
        }
    }
}

fn spawn(folder: &Path) -> Child {
    let log = std::fs::File::create(folder.join("log")).unwrap();
    command("postgres").arg("-D").arg(folder.join("data")).stderr(log).stdout(Stdio::null()).spawn().unwrap()
}

/// A program of PostgreSQL, as the unprivileged user if the test runs as root.
fn command(program: &str) -> Command {
    let mut command = Command::new(Path::new(BIN).join(program));
    command.current_dir("/").env_remove("PGDATA");
    if let Some((uid, gid)) = unprivileged() {
        command.uid(uid).gid(gid);
    }
    command
}

fn give(path: &Path) {
    if let Some((uid, gid)) = unprivileged() {
        chown(path, Some(uid), Some(gid)).unwrap();
    }
}

/// Its user and group, made if need be; `None` if the test does not run as root.
fn unprivileged() -> Option<(u32, u32)> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let user = || nix::unistd::User::from_name(USER).unwrap();
    if user().is_none() {
        // Another test may be faster: what counts is that the user exists afterwards.
        let _ = Command::new("useradd").args(["--system", "--no-create-home", USER]).stderr(Stdio::null()).status();
    }
    let user = user().expect("useradd makes the user");
    Some((user.uid.as_raw(), user.gid.as_raw()))
}
