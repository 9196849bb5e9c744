//! `backup-list`: what there is to restore.

use std::io::stdout;

use clap::{ArgAction, Args};
use coordinator::catalog::Backups;
use coordinator::listing;
use formats::Timestamp;
use segment_agent::cli::Form;
use segment_agent::proofs;

use crate::error::{Error, Result};
use crate::session::Session;

/// List the backups of the cluster, oldest first
#[derive(Debug, Args)]
pub struct BackupList {
    #[command(flatten)]
    form: Form,
    /// Times, host, version and restore point of every backup
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    detail: bool,
}

pub async fn run(session: &Session, arguments: &BackupList) -> Result<()> {
    let repository = session.repository()?;
    let backups = Backups::load(repository.store()).await?;
    let layout = arguments.form.layout();
    if !arguments.detail {
        return listing::backups(backups.entries(), layout, &mut stdout().lock()).map_err(cannot_print);
    }
    let details = backups.details().await;
    let now = Timestamp::from(chrono::Utc::now());
    let proofs = listing::Proofs { newest: proofs::newest(&repository).await?, now };
    listing::backup_details(&details.found, &proofs, layout, &mut stdout().lock()).map_err(cannot_print)?;
    for error in &details.unreadable {
        tracing::error!("{error}");
    }
    match details.unreadable.len() {
        0 => Ok(()),
        count => Err(Error::Several(format!("{count} backups are not listed, because their sentinels cannot be read"))),
    }
}

pub fn cannot_print(source: std::io::Error) -> Error {
    Error::Local { doing: "printing the list", source }
}
