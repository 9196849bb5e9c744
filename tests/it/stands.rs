//! Stands as several tests want them, and questions to them.

use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::Pid;
use rig::{Cluster, Host, Running, S3, Stand, StandSpec, row_sums, sql, wait_for};
use serde_json::Value;

/// For what takes moments on an idle machine.
pub const SOON: Duration = Duration::from_secs(60);

/// [`Stand::start`] whose hosts use the agent where the rig has installed it, without `hosts install`.
pub fn start(name: &str, spec: &StandSpec) -> Stand {
    let mut stand = Stand::start(name, spec);
    let agent = stand.product.path("damson-agent");
    stand.set("DAMSON_AGENT_PATH", agent.to_str().unwrap());
    stand
}

/// [`start`] with a coordinator and one primary, on two hosts.
pub fn small(name: &str, spec: &StandSpec) -> Stand {
    start(name, &StandSpec { primaries: vec![0, 1], ..spec.clone() })
}

/// Row sums of every server, by content id.
pub fn sums(cluster: &Cluster) -> Vec<Vec<String>> {
    cluster.servers.iter().map(row_sums).collect()
}

/// The list of backups as JSON: `backup-list --json ARGS`.
pub fn backups(stand: &Stand, args: &[&str]) -> Vec<Value> {
    let listed = stand.damson(&[&["backup-list", "--json"], args].concat()).ok();
    serde_json::from_str(&listed.stdout).unwrap_or_else(|e| panic!("{e}: {}", listed.stdout))
}

/// Name of the newest backup.
pub fn latest(stand: &Stand) -> String {
    let listed = backups(stand, &[]);
    listed.last().expect("no backup is listed")["backup_name"].as_str().unwrap().to_string()
}

pub fn s3(stand: &Stand) -> &S3 {
    stand.s3.as_ref().expect("the stand stores in S3")
}

/// Starts a command and waits until a request with this text (see [`S3::hold`]) is held back.
pub fn held(stand: &Stand, args: &[&str], text: &str) -> Running {
    let before = s3(stand).held().len();
    s3(stand).hold(&[text]);
    let mut running = stand.product.spawn_damson(args);
    running.wait_until(&format!("{text} is held"), SOON, |_| s3(stand).held().len() > before);
    running
}

/// The process of the newest job of a kind (`check`, `push`, ...) on a host.
pub fn agent(host: &Host, work: &str) -> Pid {
    let newest = |dir: PathBuf| {
        let order: Value = serde_json::from_slice(&std::fs::read(dir.join("spec.json")).ok()?).ok()?;
        let asked = &order["start"]["spec"]["work"];
        if asked != work && asked.get(work).is_none() {
            return None;
        }
        let text = std::fs::read_to_string(dir.join("journal.jsonl")).ok()?;
        let started: Value = serde_json::from_str(text.lines().next()?).ok()?;
        Some((started["at_millis"].as_i64()?, started["event"]["started"]["pid"].as_i64()?))
    };
    let jobs = std::fs::read_dir(host.state_dir.join("jobs")).unwrap().flatten();
    let (_, pid) = jobs.filter_map(|entry| newest(entry.path())).max().expect("no such job");
    Pid::from_raw(i32::try_from(pid).unwrap())
}

/// Waits until no process of the product is left on any host, and no session of one on any server that runs.
pub fn assert_nothing_runs(stand: &mut Stand) {
    for host in &stand.hosts.list {
        wait_for(&format!("end of every process on {}", host.address), SOON, || host.product_processes().is_empty());
    }
    let sessions =
        "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()";
    for server in &mut stand.cluster.servers {
        if server.is_running() {
            wait_for(&format!("end of every session on content {}", server.content), SOON, || {
                sql(server, sessions) == "0"
            });
        }
    }
}
