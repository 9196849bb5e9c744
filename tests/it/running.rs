//! A running cluster at the end: servers started by the product on other ports and directories, and followed to later points.

mod follow;
mod replicas;
mod start;

use std::time::Duration;

use nix::sys::signal::Signal;
use rig::{Place, Restore, Server, Stand, StandSpec, User, pg_bin, sql};

use crate::stands;

const LIMIT: Duration = Duration::from_secs(120);

/// What is printed of a restored cluster that archives where the backed up one did.
pub const TWO_CLUSTERS: &str = "two living clusters must not archive";

/// A stand whose product can start servers on its hosts: a coordinator and two primaries on two hosts.
pub fn stand(name: &str) -> Stand {
    let mut stand = stands::start(name, &StandSpec { primaries: vec![1, 1], ..StandSpec::default() });
    let runs: Vec<String> = stand.hosts.list.iter().map(|host| host.dir.join("run").display().to_string()).collect();
    let addresses: Vec<String> = stand.hosts.list.iter().map(|host| host.address.to_string()).collect();
    let options = format!("-p {{port}} -k {} -h 127.0.0.1,{}", runs.join(","), addresses.join(","));
    stand.set("DAMSON_START_COMMAND", &format!("{{pg_ctl}} -D {{data_dir}} -l {{log}} -W -o \"{options}\" start"));
    stand
}

/// Servers that the product started; stopped at the end of the test.
pub struct Restored {
    pub restore: Restore,
    pub servers: Vec<Server>,
}

impl Restored {
    /// `restore`: made by [`Stand::plan_restore`].
    pub fn new(stand: &Stand, restore: Restore) -> Restored {
        let server = |place: &Place| Server::at(&stand.scratch, &stand.hosts, place, &[]);
        Restored { servers: restore.places.iter().map(server).collect(), restore }
    }

    pub fn config(&self) -> &str {
        self.restore.config.to_str().unwrap()
    }

    /// What `question` answers on every server, by content id.
    pub fn ask(&self, question: &str) -> Vec<String> {
        self.servers.iter().map(|server| sql(server, question)).collect()
    }

    /// Ports and directories of the catalog.
    pub fn catalog(&self) -> String {
        sql(&self.servers[0], "select content, role, port, address, datadir from gp_segment_configuration order by 1")
    }

    /// What [`catalog`](Self::catalog) must be.
    pub fn expected_catalog(&self) -> String {
        let line = |p: &Place| format!("{}|p|{}|{}|{}", p.content, p.port, p.hostname, p.data_dir.display());
        self.restore.places.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        for place in self.restore.places.iter().filter(|place| place.data_dir.join("postmaster.pid").exists()) {
            let mut stop = User::get().command(pg_bin().join("pg_ctl"));
            let _ = stop.arg("-D").arg(&place.data_dir).args(["-m", "immediate", "stop"]).output();
        }
    }
}

/// Runs a command until its standard error says `text`, then kills it and the agents, as a host that went away.
fn kill_at(stand: &Stand, args: &[&str], text: &str) {
    let mut running = stand.product.spawn_damson(args);
    running.wait_for_stderr(text, LIMIT);
    running.signal(Signal::SIGKILL);
    running.wait(LIMIT);
    for host in &stand.hosts.list {
        for pid in host.product_processes() {
            let archives =
                std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().contains("seg\0");
            if !archives {
                let _ = nix::sys::signal::kill(pid, Signal::SIGKILL);
            }
        }
    }
}
