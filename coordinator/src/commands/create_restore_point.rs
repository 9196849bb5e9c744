//! `create-restore-point`: a point that the cluster can be restored to, once a backup before it exists.
//!
//! 1. The name is checked and claimed: two commands never make one point.
//! 2. Every host and server is checked, so that nothing is begun while one is down.
//! 3. The pending document says that the name is taken; then the servers are asked, once. Recovery ends at the first record with
//!    the name, so a second attempt could tear the cluster apart.
//! 4. The log that holds the point is closed, and waited for in the archive.
//! 5. The point's document is stored, and the pending one removed.
//!
//! A run that was cut off in step 4 is completed by the next one of the same name; one that was cut off in step 3 has used the
//! name up. It is safe at any time, also during a backup.

use clap::Args;
use formats::cluster::RestorePoint;
use formats::pending::PendingPoint;
use formats::{check_new_restore_point_name, layout};
use pgclient::greenplum;
use segment_agent::repository::Repository;

use super::backup_push::now;
use super::preflight;
use super::restore_point::{self, Stretch};
use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::session::Session;

/// Create a point that the cluster can be restored to
///
/// It is listed once its log is archived on every segment. May run at any time, from cron as well, also during a backup.
#[derive(Debug, Args)]
pub struct CreateRestorePoint {
    /// Must not exist yet; at most 63 bytes
    name: String,
}

const ANOTHER_NAME: &str = "choose another name; restore-point-list shows the names that are taken";

pub async fn run(session: &Session, arguments: &CreateRestorePoint) -> Result<()> {
    let name = arguments.name.as_str();
    check_new_restore_point_name(name).map_err(|error| Error::refused(error.to_string(), "choose another name"))?;
    let repository = session.repository()?;
    let cluster = Cluster::discover(&session.settings).await?;
    if !greenplum::claim_restore_point(&cluster.server, name).await? {
        return Err(Error::refused(format!("restore point {name} is being created by another session"), ANOTHER_NAME));
    }
    let key = layout::restore_point_key(name);
    if repository.store().head(&key).await?.is_some() {
        return Err(Error::refused(format!("restore point with name {name} already exists"), ANOTHER_NAME));
    }
    let pending_key = layout::pending_point_key(name);
    let document = match repository.find_json::<PendingPoint>(&pending_key).await? {
        None => create(session, &repository, &cluster, name).await?,
        Some(PendingPoint { point: Some(point) }) => {
            tracing::info!("restore point {name} was created by an earlier run; its log is waited for");
            point
        }
        Some(PendingPoint { point: None }) => {
            let what = format!(
                "an earlier attempt to create the restore point {name} failed, and may have left it in the log of some \
                 segments: a recovery to it would not be consistent"
            );
            return Err(Error::refused(what, "choose another name"));
        }
    };
    wait_for_archive(session, &repository, &cluster, &document).await?;
    repository.put_json(&key, &document).await?;
    repository.store().delete(&[pending_key]).await?;
    tracing::info!("restore point {name} created and stored");
    Ok(())
}

/// Asks the servers for the point; the pending document tells how far that came.
async fn create(session: &Session, repository: &Repository, cluster: &Cluster, name: &str) -> Result<RestorePoint> {
    preflight::run(session, &cluster.nodes).await?;
    let start_time = now();
    let pending_key = layout::pending_point_key(name);
    repository.put_json(&pending_key, &PendingPoint::default()).await?;
    let point = restore_point::create(session, cluster, name).await?;
    let document = point.document(cluster, name, start_time, now()).await?;
    repository.put_json(&pending_key, &PendingPoint { point: Some(document.clone()) }).await?;
    Ok(document)
}

/// Until then a recovery could not reach the point, so nobody should be told of it.
async fn wait_for_archive(
    session: &Session,
    repository: &Repository,
    cluster: &Cluster,
    point: &RestorePoint,
) -> Result<()> {
    let segment_size_bytes = cluster.server.wal_segment_size().await?.bytes();
    let stretches = restore_point::stretches(&point.lsn_by_segment, |content| {
        let from = *point.lsn_by_segment.get(&content)?;
        let timeline = *point.timeline_by_segment.get(&content)?;
        // The last byte of the point's record lies before it.
        Some(Stretch { from: pgdata::Lsn(from.0.saturating_sub(1)), timeline, segment_size_bytes })
    })?;
    restore_point::prove_archived(session, repository, &stretches).await
}
