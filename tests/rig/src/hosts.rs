//! Hosts: loopback addresses with a real OpenSSH server each, run by the rig's user on an unprivileged port.
//!
//! A host has its own host key, home and state directory; its files lie in `<scratch>/h<index>`. The client side
//! (user key, known_hosts, ssh_config) lies in `<scratch>/ssh` and serves `ssh -F` as well as the product.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process::{Process, children_of, process_ids};
use crate::{Scratch, User, free_port, user};

const SSHD: &str = "/usr/sbin/sshd";
const SFTP_SERVER: &str = "/usr/lib/openssh/sftp-server";

/// All hosts of a test and the client's files.
#[derive(Debug)]
pub struct Hosts {
    pub list: Vec<Host>,
    client: PathBuf,
}

/// One host: 127.0.0.2 is the first, the coordinator's.
#[derive(Debug)]
pub struct Host {
    pub address: Ipv4Addr,
    /// Port of its SSH server.
    pub port: u16,
    /// `<scratch>/h<index>`, where its servers and everything below live.
    pub dir: PathBuf,
    /// `HOME` of its sessions, and where they start.
    pub home: PathBuf,
    /// `DAMSON_STATE_DIR` of its sessions.
    pub state_dir: PathBuf,
    log: PathBuf,
    sshd: Option<Process>,
}

impl Hosts {
    /// Starts `count` hosts. Every one is also known as `sdw<index>` in the ssh_config.
    pub fn start(scratch: &Scratch, count: usize) -> Hosts {
        let client = scratch.dir("ssh");
        make_key(&client.join("user_key"));
        let list: Vec<Host> = (0..count).map(|index| Host::create(scratch, index, &client)).collect();
        let hosts = Hosts { list, client };
        hosts.write_known_hosts();
        hosts.write_ssh_config();
        let mut hosts = hosts;
        hosts.list.iter_mut().for_each(Host::start);
        hosts
    }

    /// The value of the setting `DAMSON_SSH_CONFIG`.
    pub fn ssh_config(&self) -> PathBuf {
        self.client.join("config")
    }

    pub fn known_hosts(&self) -> PathBuf {
        self.client.join("known_hosts")
    }

    pub fn user_key(&self) -> PathBuf {
        self.client.join("user_key")
    }

    /// Runs a command on a host through the system's ssh and returns what it printed; panics unless it succeeds.
    pub fn ssh(&self, index: usize, command: &str) -> String {
        let mut ssh = User::get().command("ssh");
        ssh.arg("-F").arg(self.ssh_config()).arg(self.list[index].address.to_string()).arg(command);
        user::run(&mut ssh)
    }

    /// Accepts the present host keys, as a person would after a host was installed anew.
    pub fn write_known_hosts(&self) {
        let lines: String = self.list.iter().map(|host| format!("{}\n", host.known_hosts_line())).collect();
        User::get().write(&self.known_hosts(), lines, 0o600);
    }

    fn write_ssh_config(&self) {
        let mut text = String::new();
        for (index, host) in self.list.iter().enumerate() {
            let Host { address, port, .. } = host;
            text += &format!("Host sdw{index} {address}\n  HostName {address}\n  Port {port}\n");
        }
        text += &format!("Host *\n  User {}\n  IdentityFile {}\n", User::get().name, self.user_key().display());
        text += &format!("  UserKnownHostsFile {}\n", self.known_hosts().display());
        text +=
            "  GlobalKnownHostsFile /dev/null\n  IdentitiesOnly yes\n  StrictHostKeyChecking yes\n  BatchMode yes\n";
        User::get().write(&self.ssh_config(), text, 0o600);
    }
}

impl Host {
    fn create(scratch: &Scratch, index: usize, client: &Path) -> Host {
        let last = u8::try_from(index + 2).expect("too many hosts");
        let dir = scratch.dir(format!("h{index}"));
        let home = scratch.dir(format!("h{index}/home"));
        let state_dir = scratch.dir(format!("h{index}/state"));
        let log = scratch.dir("logs").join(format!("sshd-{index}.log"));
        // Sessions start in the account's home directory, which all hosts share; a login moves to its own.
        User::get().write(&home.join(".bashrc"), "cd \"$HOME\"\n", 0o644);
        let key = std::fs::read_to_string(client.join("user_key.pub")).unwrap();
        let host =
            Host { address: Ipv4Addr::new(127, 0, 0, last), port: free_port(), dir, home, state_dir, log, sshd: None };
        User::get().make_dir(&host.dir.join("sshd"));
        User::get().write(&host.dir.join("sshd/authorized_keys"), key, 0o600);
        make_key(&host.dir.join("sshd/host_key"));
        host.write_sshd_config();
        host
    }

    /// MaxStartups and MaxSessions stay at their defaults: the product must live with them.
    fn write_sshd_config(&self) {
        let Host { address, port, home, state_dir, .. } = self;
        let (dir, home, state) = (self.dir.join("sshd"), home.display(), state_dir.display());
        let dir = dir.display();
        let text = format!(
            "Port {port}\nListenAddress {address}\nHostKey {dir}/host_key\nAuthorizedKeysFile {dir}/authorized_keys\n\
             PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             LogLevel VERBOSE\nSetEnv HOME={home} DAMSON_STATE_DIR={state} PATH={}\n\
             Subsystem sftp {SFTP_SERVER} -d {home}\n",
            user::search_path()
        );
        User::get().write(&self.dir.join("sshd/sshd_config"), text, 0o600);
    }

    fn known_hosts_line(&self) -> String {
        let key = std::fs::read_to_string(self.dir.join("sshd/host_key.pub")).unwrap();
        let mut words = key.split_whitespace();
        let (kind, body) = (words.next().unwrap(), words.next().unwrap());
        format!("[{}]:{} {kind} {body}", self.address, self.port)
    }

    /// Starts the SSH server (again) and waits until it listens.
    pub fn start(&mut self) {
        assert!(self.sshd.is_none(), "the SSH server of {} runs", self.address);
        let before = std::fs::read_to_string(&self.log).unwrap_or_default().len();
        let mut command = User::get().command(SSHD);
        command.args(["-D", "-e", "-f"]).arg(self.dir.join("sshd/sshd_config"));
        let mut sshd = Process::spawn("sshd", command, &self.log, Signal::SIGTERM);
        sshd.wait_until("it listens", Duration::from_secs(20), |sshd| {
            sshd.log_text().get(before..).is_some_and(|log| log.contains("Server listening on"))
        });
        self.sshd = Some(sshd);
    }

    /// Stops the SSH server and cuts its connections, as a host that went away. Detached processes go on.
    pub fn stop(&mut self) {
        let connections = self.connections();
        if let Some(mut sshd) = self.sshd.take() {
            sshd.end(Signal::SIGTERM);
        }
        end_all(&connections);
    }

    /// Ends the per-connection servers, not the listener; returns how many connections there were.
    pub fn cut_connections(&self) -> usize {
        let count = self.sshd.as_ref().map_or(0, |sshd| ssh_servers_of(sshd.pid()).len());
        end_all(&self.connections());
        count
    }

    /// The per-connection SSH servers: the listener's children and the children they divide their work with, without
    /// the commands of the sessions.
    fn connections(&self) -> Vec<Pid> {
        let mut found = self.sshd.as_ref().map(|sshd| ssh_servers_of(sshd.pid())).unwrap_or_default();
        let mut next = 0;
        while let Some(pid) = found.get(next) {
            found.extend(ssh_servers_of(*pid));
            next += 1;
        }
        found
    }

    /// Gives the host another key and starts its SSH server anew; known_hosts keeps the old one.
    pub fn change_key(&mut self) {
        self.stop();
        let key = self.dir.join("sshd/host_key");
        std::fs::remove_file(&key).unwrap();
        std::fs::remove_file(key.with_extension("pub")).unwrap();
        make_key(&key);
        self.start();
    }

    /// Processes of the product on this host: those whose program lies in the scratch directory, so that servers and
    /// SSH sessions are not among them.
    pub fn product_processes(&self) -> Vec<Pid> {
        let scratch = self.dir.parent().unwrap();
        let program = |pid: &Pid| std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        self.processes().into_iter().filter(|pid| program(pid).starts_with(scratch)).collect()
    }

    /// Everything that runs on this host: its environment names the host's state directory.
    fn processes(&self) -> Vec<Pid> {
        let variable = format!("DAMSON_STATE_DIR={}", self.state_dir.display());
        process_ids(|pid| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|one| one == variable.as_bytes())
        })
    }

    /// What the SSH server logged.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Host {
    /// Commands of cut sessions and detached processes would outlive the test and its directory.
    fn drop(&mut self) {
        self.stop();
        end_all(&self.processes());
    }
}

/// Children of a process that run sshd's program (and not a session's command).
fn ssh_servers_of(parent: Pid) -> Vec<Pid> {
    let name = |pid: &Pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    children_of(parent).into_iter().filter(|pid| name(pid).trim_end() == "sshd").collect()
}

fn make_key(path: &Path) {
    let mut keygen = User::get().command("ssh-keygen");
    user::run(keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "rig", "-f"]).arg(path));
}

fn end_all(processes: &[Pid]) {
    for pid in processes {
        let _ = kill(*pid, Signal::SIGKILL);
    }
}
