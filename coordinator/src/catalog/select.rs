//! Which backup and which restore point are meant: pure rules, without I/O.
//!
//! As WAL-G, with two differences. A restore point that is named like a backup is that backup's own and selects it,
//! and a backup that was finished in the same instant as a restore point reaches it: a backup and its own restore point
//! have one finish time, so that WAL-G answers with the backup before.

use formats::cluster::{ClusterSentinel, RestorePoint};
use formats::{BackupName, Timestamp, check_restore_point_name};
use serde_json::{Number, Value};

use super::{Backup, BackupDetail, Error};

/// In place of a name: the backup that was stored last.
pub const LATEST: &str = "LATEST";

/// What a command line and the settings say. Empty text counts as nothing.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// Name or [`LATEST`].
    pub backup: Option<String>,
    /// JSON.
    pub user_data: Option<String>,
    pub restore_point: Option<String>,
    /// RFC 3339.
    pub restore_point_ts: Option<String>,
    /// RFC 3339; chooses as `restore_point_ts` does.
    pub as_of: Option<String>,
}

/// How a backup is named.
#[derive(Clone, Debug, PartialEq)]
pub enum BackupTarget {
    Latest,
    Name(BackupName),
    UserData(Value),
}

/// How a restore point is named.
#[derive(Clone, Debug, PartialEq)]
pub enum PointTarget {
    Name(String),
    /// The last that was finished at this time.
    FinishedBy(Timestamp),
}

/// What is to be restored.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// A backup, up to its own end.
    Backup(BackupTarget),
    /// A backup, and then the log up to a restore point.
    BackupUpTo(BackupTarget, PointTarget),
    /// The newest backup that reaches a restore point, and then the log up to it.
    Point(PointTarget),
}

impl Target {
    /// Refuses nothing at all, a name together with user data, and two restore points.
    pub fn from_arguments(arguments: &Arguments) -> Result<Self, Error> {
        let point = arguments.point()?;
        let backup = BackupTarget::from_arguments(arguments.backup.as_deref(), arguments.user_data.as_deref())?;
        match (backup, point) {
            (Some(backup), None) => Ok(Self::Backup(backup)),
            (Some(backup), Some(point)) => Ok(Self::BackupUpTo(backup, point)),
            (None, Some(point)) => Ok(Self::Point(point)),
            (None, None) => Err(Error::NothingSelected),
        }
    }
}

impl Arguments {
    fn point(&self) -> Result<Option<PointTarget>, Error> {
        match (given(&self.restore_point), given(&self.restore_point_ts), given(&self.as_of)) {
            (Some(name), None, None) => {
                check_restore_point_name(name)?;
                Ok(Some(PointTarget::Name(name.to_owned())))
            }
            (None, Some(text), None) => parse_time("--restore-point-ts", text).map(PointTarget::FinishedBy).map(Some),
            (None, None, Some(text)) => parse_time("--as-of", text).map(PointTarget::FinishedBy).map(Some),
            (None, None, None) => Ok(None),
            (Some(_), Some(_), None) => {
                Err(Error::TwoRestorePoints { flags: "--restore-point and --restore-point-ts" })
            }
            (Some(_), None, Some(_)) => Err(Error::TwoRestorePoints { flags: "--restore-point and --as-of" }),
            (_, Some(_), Some(_)) => Err(Error::TwoRestorePoints { flags: "--restore-point-ts and --as-of" }),
        }
    }
}

impl BackupTarget {
    /// `None` if neither is given; an error if both are.
    pub fn from_arguments(backup: Option<&str>, user_data: Option<&str>) -> Result<Option<Self>, Error> {
        let is_given = |text: &&str| !text.is_empty();
        match (backup.filter(is_given), user_data.filter(is_given)) {
            (Some(_), Some(_)) => Err(Error::NameAndUserData),
            (Some(LATEST), None) => Ok(Some(Self::Latest)),
            (Some(name), None) => Ok(Some(Self::Name(BackupName::new(name)?))),
            (None, Some(text)) => match serde_json::from_str(text) {
                Ok(value) => Ok(Some(Self::UserData(value))),
                Err(source) => Err(Error::InvalidUserData { text: text.to_owned(), source }),
            },
            (None, None) => Ok(None),
        }
    }
}

fn given(argument: &Option<String>) -> Option<&str> {
    argument.as_deref().filter(|text| !text.is_empty())
}

fn parse_time(flag: &'static str, text: &str) -> Result<Timestamp, Error> {
    text.parse().map_err(|source| Error::InvalidTime { flag, text: text.to_owned(), source })
}

/// The backup stored last. `backups` are in the order of [`super::Backups::entries`].
pub fn latest(backups: &[Backup]) -> Result<&Backup, Error> {
    backups.last().ok_or(Error::NoBackups)
}

pub fn by_name<'a>(backups: &'a [Backup], name: &BackupName) -> Result<&'a Backup, Error> {
    let missing = || Error::NoSuchBackup { name: name.to_string() };
    backups.iter().find(|backup| backup.name == *name).ok_or_else(missing)
}

/// The only backup with exactly this user data; `null` means none. `unreadable`: how many more backups there are whose
/// user data is unknown, for the error.
pub fn by_user_data(backups: Vec<BackupDetail>, wanted: &Value, unreadable: usize) -> Result<BackupDetail, Error> {
    let has = |sentinel: &ClusterSentinel| is_same(sentinel.user_data.as_ref().unwrap_or(&Value::Null), wanted);
    let mut matching: Vec<BackupDetail> = backups.into_iter().filter(|backup| has(&backup.sentinel)).collect();
    if matching.len() > 1 {
        return Err(Error::SeveralBackups { names: matching.iter().map(|backup| backup.name.to_string()).collect() });
    }
    matching.pop().ok_or(Error::NoBackupWithUserData { unreadable })
}

/// The restore point with the greatest finish time at or before `time`; of equal ones the first.
pub fn finished_by(points: Vec<RestorePoint>, time: Timestamp) -> Result<RestorePoint, Error> {
    let mut best: Option<RestorePoint> = None;
    for point in points {
        if point.finish_time <= time && best.as_ref().is_none_or(|best| best.finish_time < point.finish_time) {
            best = Some(point);
        }
    }
    best.ok_or(Error::NoRestorePointBefore { time })
}

/// The backup that is `point`'s own, if there is one.
pub fn owner<'a>(backups: &'a [Backup], point: &str) -> Option<&'a Backup> {
    backups.iter().find(|backup| backup.name.as_str() == point)
}

/// The backup with the greatest finish time that reaches `point`; of equal ones the one stored last. `unreadable`: how
/// many more backups there are whose finish time is unknown, for the error.
pub fn before_point(
    backups: Vec<BackupDetail>,
    point: &RestorePoint,
    unreadable: usize,
) -> Result<BackupDetail, Error> {
    let reaching = backups.into_iter().filter(|backup| backup.sentinel.finish_time <= point.finish_time);
    reaching.max_by_key(|backup| backup.sentinel.finish_time).ok_or_else(|| Error::NoBackupBefore {
        point: point.name.clone(),
        finish: point.finish_time,
        unreadable,
    })
}

/// An error if recovery of `backup` cannot end at `point`, because the backup was finished later.
pub fn check_reachable(backup: &BackupDetail, point: &RestorePoint) -> Result<(), Error> {
    let backup_finish = backup.sentinel.finish_time;
    if backup_finish <= point.finish_time {
        return Ok(());
    }
    Err(Error::BackupAfterRestorePoint {
        backup: backup.name.to_string(),
        backup_finish,
        point: point.name.clone(),
        point_finish: point.finish_time,
    })
}

/// Equal as JSON: the order of keys does not matter, nor how a number is written (1 and 1.0).
fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => is_same_number(a, b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| is_same(a, b)))
        }
        _ => a == b,
    }
}

/// Whole numbers are compared exactly, others as floating numbers.
fn is_same_number(a: &Number, b: &Number) -> bool {
    if a.is_f64() || b.is_f64() { a.as_f64() == b.as_f64() } else { a == b }
}

#[cfg(test)]
#[path = "select_tests.rs"]
mod tests;
