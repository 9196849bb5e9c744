//! Names and numbers of segments and backups.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Content id of a Greenplum segment: -1 is the coordinator, primaries count from 0, not always without gaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContentId(pub i32);

impl ContentId {
    pub const COORDINATOR: Self = Self(-1);
}

/// `dbid` of an instance in `gp_segment_configuration`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DbId(pub i32);

/// Name of a backup; safe as one element of a storage key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackupName(String);

/// The id that ties a segment's backup to the cluster's backup: `{"id":"..."}` in the segment's user data. Only ever
/// compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BackupId(String);

/// Text that must not become part of a storage key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} cannot be the name of a {what}: {why}")]
pub struct NameError {
    pub what: &'static str,
    pub name: String,
    pub why: &'static str,
}

impl BackupName {
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        let name = name.into();
        check("backup", &name)?;
        Ok(Self(name))
    }

    /// For names that are right by the way they are made.
    pub(crate) fn trusted(name: String) -> Self {
        Self(name)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 24 digits of the WAL segment in which a segment's backup began: the first run of 24 upper-case hexadecimal
    /// digits. A cluster's backup has none.
    pub fn wal_file_name(&self) -> Option<&str> {
        let is_digit = |b: &u8| matches!(b, b'0'..=b'9' | b'A'..=b'F');
        let start = self.0.as_bytes().windows(24).position(|run| run.iter().all(is_digit))?;
        self.0.get(start..start + 24)
    }
}

impl BackupId {
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The user data of the segment backup with this id.
    pub fn user_data(&self) -> serde_json::Value {
        serde_json::json!({ "id": self.0 })
    }

    /// The id in `user_data`, if it holds an id and nothing else, as WAL-G demands.
    pub fn from_user_data(user_data: &serde_json::Value) -> Option<Self> {
        let object = user_data.as_object().filter(|object| object.len() == 1)?;
        object.get("id")?.as_str().map(Self::new)
    }
}

/// Longest name of a restore point that servers take, in bytes.
const POINT_NAME_BYTES_MAX: usize = 63;

/// Refuses names that would leave their folder or spoil a listing.
pub fn check_restore_point_name(name: &str) -> Result<(), NameError> {
    check("restore point", name)
}

/// Refuses names that a new restore point cannot have: those that servers do not take, and those that mean something else.
pub fn check_new_restore_point_name(name: &str) -> Result<(), NameError> {
    check_restore_point_name(name)?;
    let why = if name.len() > POINT_NAME_BYTES_MAX {
        "it is longer than 63 bytes"
    } else if name == "LATEST" {
        "LATEST means the newest one"
    } else if is_cluster_backup_name(name) {
        "it has the form of a backup's name, and backups have restore points of their own"
    } else if name.contains("_backup") || name.contains("_restore_point") {
        "WAL-G cuts names at _backup and _restore_point"
    } else {
        return Ok(());
    };
    Err(NameError { what: "restore point", name: name.to_owned(), why })
}

/// `backup_<YYYYMMDDThhmmssZ>` and whatever follows.
fn is_cluster_backup_name(name: &str) -> bool {
    let stamp = name.strip_prefix("backup_").and_then(|rest| rest.get(..16));
    let is_stamp = |stamp: &str| {
        let form = |(at, byte): (usize, u8)| match at {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        };
        stamp.bytes().enumerate().all(form)
    };
    stamp.is_some_and(is_stamp)
}

fn check(what: &'static str, name: &str) -> Result<(), NameError> {
    let why = if name.is_empty() {
        "it is empty"
    } else if name.contains('/') {
        "it contains a slash"
    } else if name.chars().any(char::is_control) {
        "it contains a control character"
    } else if name == "." || name == ".." {
        "it names a folder"
    } else {
        return Ok(());
    };
    Err(NameError { what, name: name.to_owned(), why })
}

impl TryFrom<String> for BackupName {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl std::str::FromStr for BackupName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl From<BackupName> for String {
    fn from(name: BackupName) -> Self {
        name.0
    }
}

impl AsRef<str> for BackupName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BackupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for DbId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_their_folder_are_refused() {
        for wrong in ["", ".", "..", "a/b", "/", "a\nb", "a\0"] {
            assert!(BackupName::new(wrong).is_err(), "{wrong:?}");
            assert!(check_restore_point_name(wrong).is_err(), "{wrong:?}");
        }
        assert!(serde_json::from_str::<BackupName>("\"../x\"").is_err());
        assert_eq!(BackupName::new("base_x").unwrap().to_string(), "base_x");
    }

    #[test]
    fn names_of_new_restore_points() {
        for right in ["rp1", "it's rp 3", "2026-11-21T08:00", "backup_before_upgrade", &"x".repeat(63), "latest"] {
            assert_eq!(check_new_restore_point_name(right), Ok(()), "{right:?}");
        }
        let wrong =
            ["", "a/b", "LATEST", "backup_20261121T082823Z", "a_restore_point.json", "x_backup_y", &"ü".repeat(32)];
        for wrong in wrong {
            assert!(check_new_restore_point_name(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn wal_file_of_a_name() {
        let delta = BackupName::new("base_000000010000000000000005_D_000000010000000000000003").unwrap();
        assert_eq!(delta.wal_file_name(), Some("000000010000000000000005"));
        assert_eq!(BackupName::new("backup_20261121T082823Z").unwrap().wal_file_name(), None);
        assert_eq!(BackupName::new("ééééééééééééééééééééééééé").unwrap().wal_file_name(), None);
    }

    #[test]
    fn ids_in_user_data() {
        let id = BackupId::new("4d8b5350");
        assert_eq!(BackupId::from_user_data(&id.user_data()), Some(id));
        for other in [serde_json::json!({}), serde_json::json!({"id": "x", "y": 1}), serde_json::json!({"id": 1})] {
            assert_eq!(BackupId::from_user_data(&other), None, "{other}");
        }
    }
}
