//! One PostgreSQL server: a data directory, an address and a process.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::process::Process;
use crate::template::SUPERUSER;
use crate::{Hosts, Place, Scratch, User, pg_bin};

const START_LIMIT: Duration = Duration::from_secs(60);

/// A server that the rig started. Dropped, it is shut down at once (SIGQUIT), without waiting for its archiver.
#[derive(Debug)]
pub struct Server {
    /// Content id; -1 is the coordinator.
    pub content: i32,
    /// Index of its host in [`crate::Hosts::list`].
    pub host: usize,
    pub address: Ipv4Addr,
    pub port: u16,
    pub data_dir: PathBuf,
    /// Who asks: [`sql`] connects as this role.
    pub superuser: String,
    /// Folder of the Unix socket (not where a client looks by default).
    pub socket_dir: PathBuf,
    /// Environment of the server and so of its archive and restore commands.
    pub environment: Vec<(String, PathBuf)>,
    /// Settings given on the command line, stronger than every file.
    pub settings: Vec<(String, String)>,
    pub log: PathBuf,
    pub(crate) process: Option<Process>,
}

impl Server {
    /// A server on the data directory of `place`, which may not exist yet; not started. The settings go on its command line.
    pub fn at(scratch: &Scratch, hosts: &Hosts, place: &Place, settings: &[(&str, &str)]) -> Server {
        let host = &hosts.list[place.host];
        let socket_dir = host.dir.join("run");
        User::get().make_dir(&socket_dir);
        let variables = [("HOME", &host.home), ("DAMSON_STATE_DIR", &host.state_dir)];
        Server {
            content: place.content,
            host: place.host,
            address: host.address,
            port: place.port,
            data_dir: place.data_dir.clone(),
            superuser: SUPERUSER.to_string(),
            socket_dir,
            environment: variables.map(|(name, path)| (name.to_string(), path.clone())).to_vec(),
            settings: settings.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            log: scratch.dir("logs").join(format!("postgres-{}-{}.log", place.content, place.port)),
            process: None,
        }
    }

    /// Starts the process without waiting.
    pub(crate) fn launch(&mut self) {
        assert!(self.process.is_none(), "server {} runs", self.content);
        let mut command = User::get().command(pg_bin().join("postgres"));
        command.arg("-D").arg(&self.data_dir).arg("-p").arg(self.port.to_string()).arg("-k").arg(&self.socket_dir);
        command.arg("-h").arg(format!("127.0.0.1,{}", self.address));
        for (name, value) in &self.settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let name = format!("PostgreSQL of content {}", self.content);
        self.process = Some(Process::spawn(&name, command, &self.log, Signal::SIGQUIT));
    }

    /// Waits until the server takes connections and is no longer in recovery.
    pub(crate) fn wait_until_ready(&mut self) {
        let pid_file = self.data_dir.join("postmaster.pid");
        let process = self.process.as_mut().expect("the server was not launched");
        process.wait_until("it is ready", START_LIMIT, |_| status_line(&pid_file) == "ready");
        // "ready" also stands there once a recovering server answers queries.
        let mut process = self.process.take().expect("it was just waited for");
        process.wait_until("it leaves recovery", START_LIMIT, |_| sql(self, "select pg_is_in_recovery()") == "f");
        self.process = Some(process);
    }

    /// Starts the server (again) and waits until it is ready.
    pub fn start(&mut self) {
        self.launch();
        self.wait_until_ready();
    }

    /// Starts a server that is expected to end by itself, and waits for that end.
    pub fn start_in_vain(&mut self) {
        self.launch();
        let mut process = self.process.take().expect("it was just launched");
        assert!(process.wait(START_LIMIT).is_some(), "server {} goes on", self.content);
    }

    /// Fast shutdown: the archiver still does its last round. Waits for the end.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.end(Signal::SIGINT);
        }
    }

    /// Crash: SIGQUIT to the postmaster; the next start recovers from WAL.
    pub fn crash(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.end(Signal::SIGQUIT);
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.ended().is_none())
    }

    /// What the server and its archive and restore commands logged.
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Changes settings in postgresql.auto.conf and reloads; waits until a new session sees them.
    pub fn set(&self, name: &str, value: &str) {
        sql(self, &format!("alter system set {name} = '{}'", value.replace('\'', "''")));
        sql(self, "select pg_reload_conf()");
        let wanted = value.to_string();
        let question = format!("select current_setting('{name}')");
        crate::wait_for("reloaded setting", Duration::from_secs(20), || sql(self, &question) == wanted);
    }

    /// Closes the current WAL file and waits until it, and all before it, are archived.
    pub fn archive_wal(&self) {
        let file = sql(self, "select pg_walfile_name(pg_switch_wal())");
        let question = "select coalesce(last_archived_wal, '') from pg_stat_archiver";
        crate::wait_for("archived WAL", Duration::from_secs(60), || sql(self, question).as_str() >= file.as_str());
    }
}

/// Line 8 of postmaster.pid: `starting`, `standby`, `ready` or `stopping`. A file without it is one being written.
fn status_line(pid_file: &Path) -> String {
    let text = std::fs::read_to_string(pid_file).unwrap_or_default();
    text.lines().nth(7).unwrap_or_default().trim().to_string()
}

/// Runs SQL in the database `postgres` as the superuser; rows as lines, columns divided by `|`. Panics on an error.
pub fn sql(server: &Server, text: &str) -> String {
    sql_in(server, "postgres", text)
}

/// [`sql`] in another database.
pub fn sql_in(server: &Server, database: &str, text: &str) -> String {
    try_sql(server, database, text).unwrap_or_else(|e| panic!("content {}: {text}:\n{e}", server.content))
}

/// [`sql`] in a database, with psql's message when it fails.
pub fn try_sql(server: &Server, database: &str, text: &str) -> Result<String, String> {
    let mut command = User::get().command(pg_bin().join("psql"));
    command.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-U", &server.superuser, "-d", database, "-f", "-"]);
    command.arg("-h").arg(&server.socket_dir).arg("-p").arg(server.port.to_string());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // From a thread, so that neither side waits for the other when script and answers are long.
    let mut input = child.stdin.take().unwrap();
    let script = text.to_string();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut input, script.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join();
    let mut message = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_string());
    }
    let _ = write!(message, "(psql: {})", output.status);
    Err(message)
}
