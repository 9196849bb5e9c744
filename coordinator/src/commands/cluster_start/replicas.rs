//! Mirrors and the standby that the restore config names: made of the servers of a started cluster.
//!
//! Each step can be entered again: they are added to the catalog as servers that are down, copied and started on their hosts, all
//! at once, and then the coordinator is made to look at them.

use std::collections::BTreeMap;

use formats::server::{Replica, ServerAction, ServerResult, Source};
use formats::{ContentId, DbId};
use restore_configs::{Place, RestoreConfig};

use super::super::servers::Servers;
use crate::cluster::Node;
use crate::error::{Error, Result};
use crate::session::Session;

/// The replicas that the config names, the standby first.
pub fn named(config: &RestoreConfig) -> Vec<Replica> {
    let replica = |content: ContentId, place: &Place| Replica {
        content,
        hostname: place.hostname.clone(),
        port: place.port,
        data_dir: place.data_dir.clone(),
    };
    let standby = config.standby.iter().map(|place| replica(ContentId::COORDINATOR, place));
    standby.chain(config.mirrors.iter().map(|(content, place)| replica(ContentId(*content), place))).collect()
}

/// Makes `replicas` of the servers at `places`, all of which serve. Content ids of those that the coordinator says are up; the
/// others run and are fed, and it will find them up within gp_fts_probe_interval.
pub async fn seed(session: &Session, places: &[Node], replicas: &[Replica]) -> Result<Vec<ContentId>> {
    if replicas.is_empty() {
        return Ok(Vec::new());
    }
    let servers = Servers::new(session, places);
    let coordinator: Vec<Node> = places.iter().filter(|node| node.is_coordinator()).cloned().collect();
    tracing::info!("step: adding {} replicas to gp_segment_configuration", replicas.len());
    let enlist = |_: &Node| ServerAction::Enlist { replicas: replicas.to_vec() };
    let enlisted = servers.act("adding replicas to the catalog", &coordinator, enlist).await?;
    let numbers: BTreeMap<ContentId, DbId> = match enlisted.into_values().next() {
        Some(ServerResult::Enlisted(numbers)) => numbers.into_iter().collect(),
        _ => return Err(untold()),
    };
    tracing::info!("step: seeding {} replicas", replicas.len());
    let nodes = nodes(replicas, &numbers).ok_or_else(untold)?;
    let source = |node: &Node| {
        let primary = places.iter().find(|place| place.content == node.content)?;
        Some(Source { hostname: primary.hostname.clone(), port: primary.port })
    };
    if let Some(node) = nodes.iter().find(|node| source(node).is_none()) {
        let what = format!("the restore config names a replica of content {}, and no primary", node.content);
        return Err(Error::refused(what, "correct the restore config"));
    }
    let seed = |node: &Node| ServerAction::Seed { source: source(node).unwrap_or_default(), db_id: node.db_id };
    servers.act("seeding replicas", &nodes, seed).await?;
    let probe = |_: &Node| ServerAction::Probe { replicas: replicas.to_vec() };
    match servers.act("looking at the replicas", &coordinator, probe).await?.into_values().next() {
        Some(ServerResult::Up(up)) => Ok(up),
        _ => Err(untold()),
    }
}

fn nodes(replicas: &[Replica], numbers: &BTreeMap<ContentId, DbId>) -> Option<Vec<Node>> {
    let node = |replica: &Replica| {
        Some(Node {
            db_id: *numbers.get(&replica.content)?,
            content: replica.content,
            hostname: replica.hostname.clone(),
            port: replica.port,
            data_dir: replica.data_dir.clone(),
        })
    };
    replicas.iter().map(node).collect()
}

fn untold() -> Error {
    Error::refused("the agent did not tell what the catalog says of the replicas", "run the command again")
}
