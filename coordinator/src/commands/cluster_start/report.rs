//! What a person is told of a started cluster: where it is, what it archives, and which replicas it lacks.

use restore_configs::RestoreConfig;

use super::Started;
use crate::cluster::{Node, by_host};
use crate::session::Session;

pub fn report(session: &Session, started: &Started, nodes: &[Node], config: &RestoreConfig) {
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
    report_replicas(started, config);
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

fn report_replicas(started: &Started, config: &RestoreConfig) {
    for replica in &started.replicas {
        let kind = if replica.content == formats::ContentId::COORDINATOR { "standby" } else { "mirror" };
        tracing::info!(
            "content {}: the {kind} on {}:{} {} was not restored and is no longer in the catalog",
            replica.content,
            replica.hostname,
            replica.port,
            replica.data_dir.display()
        );
    }
    let mirrors = started.replicas.iter().any(|replica| replica.content != formats::ContentId::COORDINATOR);
    let standby = started.replicas.iter().any(|replica| replica.content == formats::ContentId::COORDINATOR);
    if mirrors || !config.mirrors.is_empty() {
        tracing::info!("to be rebuilt: mirrors, with gpaddmirrors");
    }
    for (content, place) in &config.mirrors {
        tracing::info!("mirror of content {content}: {}", line(place));
    }
    if standby || config.standby.is_some() {
        tracing::info!("to be rebuilt: the standby, with gpinitstandby");
    }
    if let Some(place) = &config.standby {
        tracing::info!("standby: {}", line(place));
    }
}

fn line(place: &restore_configs::Place) -> String {
    format!("{}:{} {}", place.hostname, place.port, place.data_dir.display())
}
