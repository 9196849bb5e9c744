//! What a person is told of a started cluster: where it is, what it archives, and which replicas it lacks or has got.

use formats::ContentId;
use formats::server::Replica;

use super::Started;
use crate::cluster::{Node, by_host};
use crate::session::Session;

pub fn report(session: &Session, started: &Started, nodes: &[Node]) {
    if started.paused {
        let point = started.facts.point().unwrap_or_default();
        tracing::info!(
            "{} servers are paused at the restore point {point}, and can be read; to go on: damson recovery-action promote, then \
             damson cluster-start",
            nodes.len()
        );
        return;
    }
    match nodes.iter().find(|node| node.is_coordinator()) {
        Some(coordinator) => tracing::info!(
            "the cluster is up: coordinator {}:{}, {} primaries on {} hosts",
            coordinator.hostname,
            coordinator.port,
            nodes.len() - 1,
            by_host(nodes).len()
        ),
        None => tracing::info!("{} segments are up", nodes.len()),
    }
    warn_of_archiving(session, started);
    report_lost(&started.lost);
}

/// Two living clusters that archive into one place overwrite, or refuse, one another's log.
fn warn_of_archiving(session: &Session, started: &Started) {
    let commands: std::collections::BTreeSet<_> =
        started.facts.servers.values().filter_map(|server| server.archives_with.as_deref()).collect();
    let Some(command) = commands.into_iter().next() else { return };
    let storage = session.repository().map(|repository| repository.store().describe()).unwrap_or_default();
    tracing::warn!(
        "the restored servers archive as the backed up ones did ({command}), on a new timeline. If the cluster that was backed up \
         still runs and archives into {storage}, give one of the two another prefix now: two living clusters must not archive \
         into one"
    );
}

fn report_lost(lost: &[Replica]) {
    for replica in lost {
        tracing::info!("{}: not restored, and no longer in the catalog", line(replica));
    }
    if lost.iter().any(|replica| !is_standby(replica)) {
        tracing::info!(
            "to be rebuilt: mirrors, by cluster-start with \"mirrors\" in the restore config, or by gpaddmirrors"
        );
    }
    if lost.iter().any(is_standby) {
        tracing::info!("to be rebuilt: the standby, by cluster-start with \"standby\" in it, or by gpinitstandby");
    }
}

/// Replicas that wait until the whole cluster is started at once.
pub fn unseeded(replicas: &[Replica]) {
    for replica in replicas {
        tracing::info!("{}: made once cluster-start is run for all segments", line(replica));
    }
}

/// Replicas that are fed by their primaries; `up`: the coordinator has noticed.
pub fn seeded(replicas: &[Replica], up: &[ContentId]) {
    for replica in replicas {
        match up.contains(&replica.content) {
            true => tracing::info!("{}: made, and up", line(replica)),
            false => tracing::info!(
                "{}: made and fed by its primary; the coordinator has not noticed yet (gp_fts_probe_interval; gpstate -m)",
                line(replica)
            ),
        }
    }
}

fn is_standby(replica: &Replica) -> bool {
    replica.content == ContentId::COORDINATOR
}

fn line(replica: &Replica) -> String {
    let place = format!("{}:{} {}", replica.hostname, replica.port, replica.data_dir.display());
    match is_standby(replica) {
        true => format!("the standby on {place}"),
        false => format!("content {}: the mirror on {place}", replica.content),
    }
}
