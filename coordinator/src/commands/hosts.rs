//! `hosts`: the machines of the cluster.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use coordinator::host::{Installed, install};
use futures::future::join_all;
use restore_configs::RestoreConfig;

use super::{backup_fetch, preflight};
use crate::cluster::{Cluster, Node, by_host, nodes_of_config};
use crate::error::{Error, Result};
use crate::session::Session;

/// Check the hosts of the cluster, or put the agent on them
#[derive(Debug, Args)]
pub struct Hosts {
    #[command(subcommand)]
    command: HostsCommand,
}

#[derive(Debug, Subcommand)]
enum HostsCommand {
    /// See whether a backup would succeed: agent, data directories, servers, archiving, storage and key on every host
    Check,
    /// Copy the agent to every host over SFTP, under a name that carries its version
    Install {
        /// Install on the hosts of this restore config instead of those of the running cluster
        #[arg(long, value_name = "FILE")]
        restore_config: Option<PathBuf>,
    },
}

pub async fn run(session: &Session, hosts: Hosts) -> Result<()> {
    match hosts.command {
        HostsCommand::Check => check(session).await,
        HostsCommand::Install { restore_config } => {
            let nodes = match restore_config {
                Some(path) => nodes_of_config(&RestoreConfig::parse(&backup_fetch::read_restore_config(&path)?)?),
                None => Cluster::discover(&session.settings).await?.nodes,
            };
            install_all(session, &nodes).await
        }
    }
}

async fn check(session: &Session) -> Result<()> {
    let cluster = Cluster::discover(&session.settings).await?;
    let checked = preflight::run(session, &cluster.nodes).await?;
    for segment in &checked {
        let free = indicatif::BinaryBytes(segment.free_bytes);
        println!(
            "ok  content {:>3}  host {}  server {}  free {free}",
            segment.content, segment.host, segment.server_version
        );
    }
    println!("{} segments on {} hosts are ready", checked.len(), by_host(&cluster.nodes).len());
    Ok(())
}

async fn install_all(session: &Session, nodes: &[Node]) -> Result<()> {
    let agent = session.local_agent()?;
    let coordinator = nodes.iter().find(|node| node.is_coordinator()).map_or("", |node| node.hostname.as_str());
    let hosts = by_host(nodes).into_keys().map(|name| session.host(name, coordinator)).collect::<Result<Vec<_>>>()?;
    let outcomes = join_all(hosts.iter().map(|host| async { (host.name(), install(host, &agent).await) })).await;
    let mut failures = 0;
    for (host, outcome) in outcomes {
        match outcome {
            Ok(Installed::At(path)) => println!("ok  host {host}  {path}"),
            Ok(Installed::Local) => println!("ok  host {host}  runs the agent beside this program"),
            Err(error) => {
                failures += 1;
                tracing::error!("host {host}: {error}");
                if let Some(remedy) = error.remedy() {
                    tracing::error!("host {host}: {remedy}");
                }
            }
        }
    }
    if failures > 0 {
        return Err(Error::Several(format!("the agent could not be installed on {failures} of {} hosts", hosts.len())));
    }
    Ok(())
}
