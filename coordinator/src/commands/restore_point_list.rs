//! `restore-point-list`: what the cluster can be restored to.

use std::io::stdout;

use clap::Args;
use coordinator::catalog::RestorePoints;
use coordinator::listing;
use segment_agent::cli::Form;

use super::backup_list::cannot_print;
use crate::error::Result;
use crate::session::Session;

/// List the restore points, those of backups included, oldest first
#[derive(Debug, Args)]
pub struct RestorePointList {
    #[command(flatten)]
    form: Form,
}

pub async fn run(session: &Session, arguments: &RestorePointList) -> Result<()> {
    let repository = session.repository()?;
    let points = RestorePoints::load(repository.store()).await?;
    listing::restore_points(points.entries(), arguments.form.layout(), &mut stdout().lock()).map_err(cannot_print)
}
