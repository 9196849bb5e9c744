//! Which storage is meant, from settings as WAL-G names them.

use crate::error::{Error, Result};
use crate::s3::S3Settings;
use std::path::PathBuf;

/// Finds the value of a setting by its exact name.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// In the order in which WAL-G looks: the first kind that is configured wins.
const KINDS: [&str; 7] = ["OSS", "S3", "FILE", "GS", "AZ", "SWIFT", "SSH"];

/// Where objects are kept.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "there are a few of them per process")]
pub enum StorageSettings {
    /// A directory that exists.
    File {
        root: PathBuf,
    },
    S3(S3Settings),
}

impl StorageSettings {
    /// Reads `WALG_<KIND>_PREFIX` or `WALE_<KIND>_PREFIX` and the options of the chosen kind, each of which may be
    /// written bare, with `WALG_` or with `WALE_`. An empty value counts as not set. `WALG_STORAGE_PREFIX` is the caller's
    /// business: not everything lies below it ([`Store::at`](crate::Store::at)).
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<StorageSettings> {
        let lookup = |name: &str| lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        for kind in KINDS {
            for name in [format!("WALG_{kind}_PREFIX"), format!("WALE_{kind}_PREFIX")] {
                if let Some(prefix) = lookup(&name) {
                    return configure(kind, &name, &prefix, &lookup);
                }
            }
        }
        Err(Error::NotConfigured)
    }
}

fn configure(kind: &str, name: &str, prefix: &str, lookup: Lookup<'_>) -> Result<StorageSettings> {
    match kind {
        "FILE" => Ok(StorageSettings::File { root: file_root(prefix) }),
        "S3" => S3Settings::from_lookup(name, prefix, lookup).map(StorageSettings::S3),
        _ => Err(Error::setting(name, "this kind of storage is not supported; use S3 or FILE")),
    }
}

/// WAL-E wrote directories as `file://localhost/path`.
fn file_root(prefix: &str) -> PathBuf {
    let path = prefix.strip_prefix("file://localhost").or_else(|| prefix.strip_prefix("file://"));
    PathBuf::from(path.unwrap_or(prefix))
}

/// An option of the chosen storage: bare, then with `WALG_`, then with `WALE_`.
pub(crate) fn option(lookup: Lookup<'_>, name: &str) -> Option<String> {
    lookup(name).or_else(|| lookup(&format!("WALG_{name}"))).or_else(|| lookup(&format!("WALE_{name}")))
}

/// As Go's strconv.ParseBool reads it.
pub(crate) fn bool_option(lookup: Lookup<'_>, name: &str, default: bool) -> Result<bool> {
    match option(lookup, name).as_deref() {
        None => Ok(default),
        Some("1" | "t" | "T" | "TRUE" | "true" | "True") => Ok(true),
        Some("0" | "f" | "F" | "FALSE" | "false" | "False") => Ok(false),
        Some(other) => Err(Error::setting(name, format!("`{other}` is not a boolean; write true or false"))),
    }
}

pub(crate) fn int_option(lookup: Lookup<'_>, name: &str, default: i64) -> Result<i64> {
    match option(lookup, name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| Error::setting(name, format!("`{text}` is not a whole number"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn read(settings: &[(&str, &str)]) -> Result<StorageSettings> {
        let map: HashMap<&str, &str> = settings.iter().copied().collect();
        StorageSettings::from_lookup(&|name| map.get(name).map(|value| (*value).to_owned()))
    }

    fn root(settings: &[(&str, &str)]) -> String {
        match read(settings).unwrap() {
            StorageSettings::File { root } => root.display().to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn file_prefixes() {
        assert_eq!(root(&[("WALG_FILE_PREFIX", "/backups")]), "/backups");
        assert_eq!(root(&[("WALE_FILE_PREFIX", "file://localhost/backups")]), "/backups");
        assert_eq!(root(&[("WALG_FILE_PREFIX", "/b"), ("WALG_S3_PREFIX", "")]), "/b");
        assert!(matches!(read(&[("FILE_PREFIX", "/b")]), Err(Error::NotConfigured)));
    }

    #[test]
    fn s3_wins_over_file_and_other_kinds_are_refused_by_name() {
        let both = [("WALG_FILE_PREFIX", "/b"), ("WALG_S3_PREFIX", "s3://bucket/path")];
        assert!(matches!(read(&both), Ok(StorageSettings::S3(_))));
        let error = read(&[("WALG_GS_PREFIX", "gs://bucket")]).unwrap_err();
        assert!(error.to_string().contains("WALG_GS_PREFIX"), "{error}");
    }

    #[test]
    fn booleans_and_numbers_are_checked() {
        let lookup = |name: &str| (name == "WALE_X").then(|| "perhaps".to_owned());
        assert!(bool_option(&lookup, "X", false).is_err());
        assert!(int_option(&lookup, "X", 1).is_err());
        assert!(bool_option(&lookup, "Y", true).unwrap());
    }
}
