//! What a server logged last, for the person whose server does not come up.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Folders of servers' logs: Greenplum 7 and PostgreSQL, Greenplum 6.
const FOLDERS: [&str; 2] = ["log", "pg_log"];
/// As `gpstart` names it.
const START_LOG: &str = "startup.log";
const TAIL_BYTES: u64 = 16 << 10;
const TAIL_LINES: usize = 15;

/// Where the output of a starting server goes: into its own folder of logs, if there is one.
pub fn start_log(data_dir: &Path) -> PathBuf {
    let folder = FOLDERS.iter().map(|name| data_dir.join(name)).find(|folder| folder.is_dir());
    folder.unwrap_or_else(|| data_dir.to_owned()).join(START_LOG)
}

/// The end of the log that was written last, with its path; in words if there is none.
pub fn tail(data_dir: &Path) -> String {
    match newest(data_dir) {
        None => "it has written no log".to_owned(),
        Some(path) => match read_end(&path) {
            Ok(text) => {
                let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
                let end = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default();
                format!("the end of its log {}:\n  {}", path.display(), end.join("\n  "))
            }
            Err(error) => format!("its log {} cannot be read: {error}", path.display()),
        },
    }
}

/// Bytes of the log of starts.
pub fn start_log_bytes(data_dir: &Path) -> u64 {
    std::fs::metadata(start_log(data_dir)).map_or(0, |meta| meta.len())
}

/// Whether that log, beyond its first `from` bytes, tells of a failure that ends a server.
pub fn gave_up(data_dir: &Path, from: u64) -> bool {
    let read = |path: &Path| {
        let mut file = std::fs::File::open(path)?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        std::io::Result::Ok(String::from_utf8_lossy(&bytes).contains("FATAL"))
    };
    read(&start_log(data_dir)).unwrap_or(false)
}

fn newest(data_dir: &Path) -> Option<PathBuf> {
    let folders = FOLDERS.iter().filter_map(|name| std::fs::read_dir(data_dir.join(name)).ok());
    let files = folders.flatten().flatten().map(|entry| entry.path()).chain([start_log(data_dir)]);
    let modified = |path: &PathBuf| {
        let meta = std::fs::metadata(path).ok().filter(|meta| meta.is_file() && meta.len() > 0)?;
        Some(meta.modified().unwrap_or(SystemTime::UNIX_EPOCH))
    };
    files.filter_map(|path| Some((modified(&path)?, path))).max().map(|(_, path)| path)
}

fn read_end(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_newest_log() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(tail(dir.path()), "it has written no log");
        assert_eq!(start_log(dir.path()), dir.path().join("startup.log"));
        std::fs::create_dir(dir.path().join("pg_log")).unwrap();
        let log = start_log(dir.path());
        assert_eq!(log, dir.path().join("pg_log/startup.log"));
        let text: String = (0..5000).map(|number| format!("line {number}\n\n")).collect();
        std::fs::write(&log, text).unwrap();
        let tail = tail(dir.path());
        assert!(tail.contains("line 4999") && !tail.contains("line 4984\n") && tail.contains("startup.log"), "{tail}");
    }
}
