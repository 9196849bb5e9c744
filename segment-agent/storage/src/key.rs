//! Keys and folders: `/` separates, nothing else has a meaning.

use crate::error::{Error, ErrorKind, Result};
use crate::record::Operation;

/// S3's limit, in bytes of UTF-8.
const KEY_BYTES_MAX: usize = 1024;

/// A folder without surrounding slashes; empty for the root.
pub(crate) fn folder(name: &str) -> &str {
    name.trim_matches('/')
}

/// `name` inside `folder`; either may be empty.
pub(crate) fn join(folder: &str, name: &str) -> String {
    match (folder.is_empty(), name.is_empty()) {
        (true, _) => name.to_owned(),
        (_, true) => folder.to_owned(),
        _ => format!("{folder}/{name}"),
    }
}

/// The prefix that all keys inside `folder` begin with.
pub(crate) fn prefix(folder: &str) -> String {
    if folder.is_empty() { String::new() } else { format!("{folder}/") }
}

/// Refuses keys that a backend could take for another object or for a path outside of the storage.
pub(crate) fn check(operation: Operation, key: &str, location: &str) -> Result<()> {
    let reason = if key.is_empty() {
        "the key is empty"
    } else if key.len() > KEY_BYTES_MAX {
        "the key is longer than 1024 bytes"
    } else if key.chars().any(char::is_control) {
        "the key holds a control character"
    } else if key.split('/').any(|part| matches!(part, "" | "." | "..")) {
        "the key has an empty, `.` or `..` part"
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Invalid, operation, location.to_owned(), reason))
}

/// As [`check`], for a folder, where the empty name is the root.
pub(crate) fn check_folder(operation: Operation, folder: &str, location: &str) -> Result<()> {
    if folder.is_empty() { Ok(()) } else { check(operation, folder, location) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_leave_the_storage_are_refused() {
        for key in ["", "/a", "a/", "a//b", "..", "a/../b", "a/./b", "a\nb", "a\0b", &"x".repeat(1025)] {
            let error = check(Operation::Put, key, "memory:x").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{key:?}");
        }
        for key in ["a", "a/b.c", "wal_005/0000000100000000000000AB.lz4", "ü/%41 b", "a..b", ".hidden"] {
            check(Operation::Put, key, "memory:x").unwrap();
        }
    }

    #[test]
    fn joins_folders() {
        assert_eq!(join("", "a"), "a");
        assert_eq!(join("a", ""), "a");
        assert_eq!(join("a", "b/c"), "a/b/c");
        assert_eq!(folder("/a/b/"), "a/b");
        assert_eq!((prefix(""), prefix("a")), (String::new(), "a/".to_owned()));
    }
}
