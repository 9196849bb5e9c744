//! `cluster-start`: restored data directories become a running cluster. `backup-fetch --start` is the same.

mod drive;
mod replicas;
mod report;

use std::path::PathBuf;

use clap::Args;
use formats::server::Archiving;
use restore_configs::RestoreConfig;

pub use self::drive::{Started, start};
pub use self::replicas::named as named_replicas;

use super::backup_fetch::{choose_contents, read_restore_config};
use crate::cluster::nodes_of_config;
use crate::error::Result;
use crate::session::Session;

/// Start a restored cluster: recover, rewrite gp_segment_configuration to its new places, start, check, make its replicas
///
/// Every step can be entered again: a run that was interrupted or failed is gone on with by the same command.
/// Servers are started and stopped by DAMSON_START_COMMAND and DAMSON_STOP_COMMAND, on each host by its agent.
/// Mirrors and the standby are not restored: they are removed from the catalog and reported. Those that the restore config
/// names ("mirrors": {"0": {...}}, "standby": {...}) are made anew of the running servers, by DAMSON_SEED_COMMAND.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct ClusterStart {
    /// Where the segments were restored to
    #[arg(long, value_name = "FILE")]
    restore_config: PathBuf,
    /// Start these segments alone
    #[arg(long, value_name = "N,N", value_delimiter = ',', allow_hyphen_values = true)]
    content_ids: Option<Vec<i32>>,
    /// Add `archive_mode = off` to the settings of the servers: for a cluster beside a living one that archives into the same
    /// storage
    #[arg(long)]
    no_archiving: bool,
}

pub async fn run(session: &Session, arguments: ClusterStart) -> Result<()> {
    let config = RestoreConfig::parse(&read_restore_config(&arguments.restore_config)?)?;
    let places = nodes_of_config(&config);
    let chosen = choose_contents(&places, arguments.content_ids.as_deref())?;
    let archiving = if arguments.no_archiving { Archiving::Off } else { Archiving::Kept };
    start_and_report(session, &places, &chosen, &config, archiving).await
}

/// For `backup-fetch --start`: `places` of the whole cluster, of which `chosen` were restored now.
pub async fn start_and_report(
    session: &Session,
    places: &[crate::cluster::Node],
    chosen: &[crate::cluster::Node],
    config: &RestoreConfig,
    archiving: Archiving,
) -> Result<()> {
    let replicas = replicas::named(config);
    let started = start(session, places, chosen, &replicas, archiving).await?;
    report::report(session, &started, chosen);
    if started.paused {
        return Ok(());
    }
    if chosen.len() < places.len() {
        report::unseeded(&replicas);
        return Ok(());
    }
    let up = replicas::seed(session, places, &replicas).await?;
    report::seeded(&replicas, &up);
    Ok(())
}
