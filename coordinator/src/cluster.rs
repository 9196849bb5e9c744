//! The cluster as its coordinator describes it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use formats::{ContentId, DbId};
use pgclient::Server;
use pgclient::greenplum::{self, Flavor, Version};
use restore_configs::RestoreConfig;
use settings::Settings;

use crate::error::Result;

/// A primary or the coordinator: where it runs, or where it is restored to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub db_id: DbId,
    pub content: ContentId,
    pub hostname: String,
    pub port: u16,
    pub data_dir: PathBuf,
}

impl Node {
    pub fn is_coordinator(&self) -> bool {
        self.content == ContentId::COORDINATOR
    }
}

/// A running cluster.
pub struct Cluster {
    /// Session on the coordinator.
    pub server: Server,
    pub version: Version,
    /// By content id.
    pub nodes: Vec<Node>,
}

impl Cluster {
    /// Connects to the coordinator and reads gp_segment_configuration.
    pub async fn discover(settings: &Settings) -> Result<Self> {
        let options = segment_agent::work::connect_options(settings)?;
        let server = Server::connect(&options).await?;
        let version = greenplum::version(&server).await?;
        let rows = greenplum::segments(&server).await?;
        let nodes = rows.into_iter().map(|row| Node {
            db_id: DbId(row.dbid),
            content: ContentId(row.content),
            hostname: row.hostname,
            port: row.port,
            data_dir: PathBuf::from(row.data_dir),
        });
        let nodes = nodes.collect();
        Ok(Self { server, version, nodes })
    }

    /// `greenplum (6.25.3)`, as sentinels spell it.
    pub fn version_text(&self) -> String {
        let Version { major, minor, patch, .. } = self.version;
        format!("{} ({major}.{minor}.{patch})", self.flavor_text())
    }

    pub fn flavor_text(&self) -> &'static str {
        match self.version.flavor {
            Flavor::Greenplum => "greenplum",
            Flavor::Cloudberry => "cloudberry",
        }
    }
}

/// The places of a restore config as nodes.
pub fn nodes_of_config(config: &RestoreConfig) -> Vec<Node> {
    let node = |(content, place): (&i32, &restore_configs::Place)| Node {
        db_id: DbId(0),
        content: ContentId(*content),
        hostname: place.hostname.clone(),
        port: place.port,
        data_dir: place.data_dir.clone(),
    };
    config.segments.iter().map(node).collect()
}

/// Nodes of each host, by host name.
pub fn by_host(nodes: &[Node]) -> BTreeMap<&str, Vec<&Node>> {
    let mut hosts = BTreeMap::<&str, Vec<&Node>>::new();
    for node in nodes {
        hosts.entry(&node.hostname).or_default().push(node);
    }
    hosts
}
