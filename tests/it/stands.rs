//! Stands as several tests want them, and questions to them.

use rig::{Cluster, Stand, StandSpec, row_sums};
use serde_json::Value;

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
