//! `recovery-action`: what the servers do at their restore point.

use std::path::PathBuf;

use clap::Args;
use formats::server::ServerAction;
use restore_configs::RestoreConfig;

use super::backup_fetch::read_restore_config;
use super::servers::Servers;
use crate::cluster::nodes_of_config;
use crate::error::{Error, Result};
use crate::session::Session;

const ACTIONS: [&str; 3] = ["promote", "pause", "shutdown"];

/// Set what restored servers do when they reach their restore point: promote, pause or shutdown
///
/// It holds from their next start on.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct RecoveryAction {
    /// promote, pause or shutdown
    action: String,
    /// Where the segments were restored to
    #[arg(long, value_name = "FILE")]
    restore_config: PathBuf,
}

pub async fn run(session: &Session, arguments: RecoveryAction) -> Result<()> {
    let action = arguments.action;
    if !ACTIONS.contains(&action.as_str()) {
        return Err(Error::refused(format!("unknown recovery action: {action}"), "use promote, pause or shutdown"));
    }
    let nodes = nodes_of_config(&RestoreConfig::parse(&read_restore_config(&arguments.restore_config)?)?);
    let set = |_: &_| ServerAction::SetRecoveryAction { action: action.clone() };
    Servers::new(session, &nodes).act("setting the action", &nodes, set).await?;
    tracing::info!("{} servers will {action} at their restore point", nodes.len());
    Ok(())
}
