//! `create-restore-point`: a point that the cluster can be restored to, once a backup before it exists.

use clap::Args;
use formats::{check_restore_point_name, layout};

use super::backup_push::now;
use super::restore_point;
use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::session::Session;

/// Create a point that the cluster can be restored to
#[derive(Debug, Args)]
pub struct CreateRestorePoint {
    /// Must not exist yet
    name: String,
}

pub async fn run(session: &Session, arguments: &CreateRestorePoint) -> Result<()> {
    let name = arguments.name.as_str();
    check_restore_point_name(name).map_err(|error| Error::refused(error.to_string(), "choose another name"))?;
    let repository = session.repository()?;
    let key = layout::restore_point_key(name);
    if repository.store().head(&key).await?.is_some() {
        let what = format!("restore point with name {name} already exists");
        return Err(Error::refused(what, "choose another name; restore-point-list shows the names that are taken"));
    }
    let start_time = now();
    let cluster = Cluster::discover(&session.settings).await?;
    let point = restore_point::create(session, &cluster, name).await?;
    let document = point.document(&cluster, name, start_time, now()).await?;
    repository.put_json(&key, &document).await?;
    tracing::info!("restore point {name} created and stored");
    Ok(())
}
