//! Where a path of gpbackup lies in the storage.
//!
//! Only the last four parts of a path count, `backups/DATE/TIMESTAMP/FILE`: data directories differ between hosts and
//! clusters, and a restore to another number of segments asks for files under another segment's directory. The names are unique
//! within a backup, so all segments share one folder.

use std::fmt;
use std::path::Path;

use segment_agent::error::{Error, Result};

/// `backups/DATE/TIMESTAMP/FILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileKey {
    /// `backups/DATE/TIMESTAMP`.
    pub folder: String,
    pub file: String,
}

impl FileKey {
    /// Reads the end of `path`. The digits need not be a date: callers make them up.
    pub fn of_path(path: &Path) -> Result<Self> {
        let text = path.to_str().ok_or_else(|| refused(&path.to_string_lossy()))?;
        let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
        let [.., backups, date, timestamp, file] = parts.as_slice() else { return Err(refused(text)) };
        let is_backup = *backups == "backups" && is_digits(date, 8) && is_digits(timestamp, 14);
        if !is_backup || matches!(*file, "." | "..") {
            return Err(refused(text));
        }
        Ok(Self { folder: format!("backups/{date}/{timestamp}"), file: (*file).to_owned() })
    }

    /// The key of the object that holds the file with `extension` behind its name (of a codec; empty for none).
    pub fn object(&self, extension: &str) -> String {
        let dot = if extension.is_empty() { "" } else { "." };
        format!("{}/{}{dot}{extension}", self.folder, self.file)
    }
}

impl fmt::Display for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.folder, self.file)
    }
}

/// The folder of the backup of `timestamp`, 14 digits.
pub fn backup_folder(timestamp: &str) -> Result<String> {
    if !is_digits(timestamp, 14) {
        let what = format!("{timestamp:?} is no timestamp of a backup");
        return Err(Error::refused(what, "give 14 digits, as gpbackup prints them: YYYYMMDDhhmmss"));
    }
    Ok(format!("backups/{}/{timestamp}", &timestamp[..8]))
}

fn is_digits(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn refused(path: &str) -> Error {
    let what = format!("{path} is no path of a backup");
    Error::refused(what, "paths of gpbackup end in backups/YYYYMMDD/YYYYMMDDhhmmss/FILE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_path_counts() {
        for start in ["/data/gpseg0", "/data/gpseg-1/x", ""] {
            let path = format!("{start}/backups/20261121/20261121081500/gpbackup_0_20261121081500.gz");
            let key = FileKey::of_path(Path::new(&path)).unwrap();
            assert_eq!(key.folder, "backups/20261121/20261121081500");
            assert_eq!(key.object("lz4"), "backups/20261121/20261121081500/gpbackup_0_20261121081500.gz.lz4");
            assert_eq!(key.object(""), key.to_string());
        }
        assert!(FileKey::of_path(Path::new("/x/backups/99999999/99999999999999/f")).is_ok());
    }

    #[test]
    fn other_paths_are_refused() {
        for path in [
            "",
            "/",
            "f",
            "/backups/1/2/f",
            "/x/backups/20261121/20261121081500",
            "/backups/20261121/2026112108150x/f",
            "/backups/20261121/20261121081500/..",
        ] {
            assert!(FileKey::of_path(Path::new(path)).is_err(), "{path}");
        }
        assert_eq!(backup_folder("20261121081500").unwrap(), "backups/20261121/20261121081500");
        for timestamp in ["", "2026", "2026112108150é", "202611210815001"] {
            assert!(backup_folder(timestamp).is_err(), "{timestamp}");
        }
    }
}
