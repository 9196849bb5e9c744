//! Finds in a storage what a [`Target`] means, with no more requests than that takes.

use formats::cluster::{ClusterSentinel, RestorePoint};
use formats::layout::BASEBACKUPS;
use formats::{BackupName, Timestamp};
use storage::Store;

use super::{BackupDetail, BackupTarget, Backups, Error, PointTarget, RestorePoints, Target, select};

/// What is to be restored.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    pub backup: BackupName,
    pub sentinel: ClusterSentinel,
    /// Restore point at which recovery ends: the one that was asked for, or the backup's own.
    pub recovery_target: String,
    /// When that was finished, where its document had to be read.
    pub target_time: Option<Timestamp>,
    /// Odd, but the choice is right.
    pub warnings: Vec<String>,
}

/// One listing; then one request for the sentinel of a named backup, or all sentinels where they must be compared; one
/// request for a named restore point, or all restore points where their times must be compared.
pub async fn choose(store: &Store, target: &Target) -> Result<Choice, Error> {
    let objects = store.list_folder(BASEBACKUPS).await?.objects;
    let mut search = Search {
        backups: Backups::from_objects(store, &objects),
        points: RestorePoints::from_objects(store, &objects),
        warnings: Vec::new(),
    };
    let (backup, recovery_target) = match target {
        Target::Backup(backup) => (search.backup(backup).await?, None),
        Target::BackupUpTo(backup, point) => {
            let point = search.point(point).await?;
            let backup = search.backup(backup).await?;
            search.check(&backup, &point).await?;
            (backup, Some(point))
        }
        Target::Point(point) => {
            let point = search.point(point).await?;
            (search.backup_before(&point).await?, Some(point))
        }
    };
    if backup.sentinel.segments.is_empty() {
        return Err(Error::NoSegments { name: backup.name.to_string() });
    }
    let own_point = backup.sentinel.restore_point.clone();
    let target_time = recovery_target.as_ref().and_then(Point::finish_time);
    Ok(Choice {
        recovery_target: recovery_target.map(Point::into_name).or(own_point).unwrap_or_else(|| backup.name.to_string()),
        target_time,
        backup: backup.name,
        sentinel: backup.sentinel,
        warnings: search.warnings,
    })
}

struct Search {
    backups: Backups,
    points: RestorePoints,
    warnings: Vec<String>,
}

/// A restore point whose document may not have been read yet.
enum Point {
    Named(String),
    Read(RestorePoint),
}

impl Point {
    fn name(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::Read(point) => &point.name,
        }
    }

    fn finish_time(&self) -> Option<Timestamp> {
        match self {
            Self::Named(_) => None,
            Self::Read(point) => Some(point.finish_time),
        }
    }

    fn into_name(self) -> String {
        match self {
            Self::Named(name) => name,
            Self::Read(point) => point.name,
        }
    }
}

impl Search {
    async fn backup(&mut self, target: &BackupTarget) -> Result<BackupDetail, Error> {
        match target {
            BackupTarget::Latest => self.backups.detail(&select::latest(self.backups.entries())?.name).await,
            BackupTarget::Name(name) => self.backups.detail(name).await,
            BackupTarget::UserData(wanted) => {
                let (backups, unreadable) = self.all_backups().await;
                select::by_user_data(backups, wanted, unreadable)
            }
        }
    }

    /// An unreadable restore point is an error here: it could be the one that is meant, and any other would silently
    /// restore an older state.
    async fn point(&mut self, target: &PointTarget) -> Result<Point, Error> {
        match target {
            PointTarget::Name(name) => Ok(Point::Named(name.clone())),
            PointTarget::FinishedBy(time) => {
                let reading = self.points.documents().await;
                match reading.unreadable.into_iter().next() {
                    Some(error) => Err(error),
                    None => select::finished_by(reading.found, *time).map(Point::Read),
                }
            }
        }
    }

    async fn backup_before(&mut self, point: &Point) -> Result<BackupDetail, Error> {
        if let Some(owner) = select::owner(self.backups.entries(), point.name()) {
            return self.backups.detail(&owner.name).await;
        }
        let document = match point {
            Point::Named(name) => &self.points.document(name).await?,
            Point::Read(document) => document,
        };
        let (backups, unreadable) = self.all_backups().await;
        select::before_point(backups, document, unreadable)
    }

    /// Without its document nothing tells whether the backup reaches the point, nor whether there is one: older servers
    /// would recover to the end of the log in silence.
    async fn check(&mut self, backup: &BackupDetail, point: &Point) -> Result<(), Error> {
        if backup.name.as_str() == point.name() {
            return Ok(());
        }
        match point {
            Point::Read(document) => select::check_reachable(backup, document),
            Point::Named(name) => select::check_reachable(backup, &self.points.document(name).await?),
        }
    }

    /// The readable backups and the number of the others, which become warnings.
    async fn all_backups(&mut self) -> (Vec<BackupDetail>, usize) {
        let reading = self.backups.details().await;
        let unreadable = reading.unreadable.len();
        self.warnings
            .extend(reading.unreadable.iter().map(|error| format!("a backup is left out of account: {error}")));
        (reading.found, unreadable)
    }
}

#[cfg(test)]
#[path = "choose_tests.rs"]
mod tests;
