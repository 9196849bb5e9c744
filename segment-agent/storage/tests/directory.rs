//! What only a storage in a directory has: temporary files, symbolic links, sub directories.

#![allow(clippy::unwrap_used, clippy::panic)]

use bytes::Bytes;
use chrono::{Duration, Utc};
use futures::executor::block_on;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use storage::{ErrorKind, StorageSettings, Store};
use tempfile::TempDir;

fn open(root: &Path) -> storage::Result<Store> {
    Store::open(&StorageSettings::File { root: root.to_owned() })
}

fn rig() -> (TempDir, Store) {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path()).unwrap();
    (directory, store)
}

/// Every path below the directory, sorted.
fn tree(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            found.push(entry.path().strip_prefix(directory).unwrap().display().to_string());
            if entry.file_type().unwrap().is_dir() {
                pending.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn the_root_must_exist_and_be_a_directory() {
    let (directory, store) = rig();
    assert_eq!(open(&directory.path().join("missing")).unwrap_err().kind(), ErrorKind::NotFound);
    block_on(store.put("file", Bytes::new())).unwrap();
    assert_eq!(open(&directory.path().join("file")).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(store.describe(), directory.path().display().to_string());
    // A root that vanishes (an unmounted disk) is not created again.
    fs::remove_file(directory.path().join("file")).unwrap();
    fs::remove_dir(directory.path()).unwrap();
    assert_eq!(block_on(store.put("a/b", Bytes::new())).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!directory.path().exists());
}

#[test]
fn a_folder_of_a_storage_need_not_exist() {
    let (directory, _) = rig();
    let store = open(directory.path()).unwrap().at("/x/y/");
    block_on(store.put("a", Bytes::new())).unwrap();
    assert_eq!(tree(directory.path()), ["x", "x/y", "x/y/a"]);
}

#[test]
fn reading_and_listing_create_nothing() {
    let (directory, store) = rig();
    block_on(store.list("a/b")).unwrap();
    block_on(store.list_folder("a/b")).unwrap();
    assert!(block_on(store.get("a/b")).is_err());
    block_on(store.delete(&["a/b".to_owned()])).unwrap();
    assert_eq!(tree(directory.path()), Vec::<String>::new());
}

#[test]
fn an_unfinished_upload_is_a_hidden_file_that_goes_away() {
    let (directory, store) = rig();
    block_on(store.put("kept", Bytes::new())).unwrap();
    for end in ["drop", "abort", "error"] {
        let mut upload = block_on(store.upload("a/b", None)).unwrap();
        block_on(upload.write(Bytes::from_static(b"content"))).unwrap();
        let files = tree(directory.path());
        assert_eq!(files.len(), 3, "{files:?}");
        assert!(
            files[1].starts_with("a/b.tmp.") && files[1].len() == "a/b.tmp.20240102T030405Z-0123456789abcdef".len()
        );
        assert_eq!(block_on(store.list("")).unwrap().len(), 1);
        assert!(block_on(store.list_folder("a")).unwrap().objects.is_empty());
        match end {
            "drop" => drop(upload),
            "abort" => block_on(upload.abort()).unwrap(),
            _ => {
                fs::create_dir(directory.path().join("a/b")).unwrap();
                assert_eq!(block_on(upload.finish()).unwrap_err().kind(), ErrorKind::Exists);
                fs::remove_dir(directory.path().join("a/b")).unwrap();
                block_on(store.delete(&["a/nothing".to_owned()])).unwrap();
                fs::remove_dir(directory.path().join("a")).unwrap();
            }
        }
        assert_eq!(tree(directory.path()), ["kept"], "{end}");
    }
}

#[test]
fn temporary_files_of_crashed_uploads_are_found_and_removed() {
    let (directory, store) = rig();
    fs::create_dir_all(directory.path().join("w/x")).unwrap();
    let old = "w/x/part_001.tar.lz4.tmp.20240102T030405Z-0123456789abcdef";
    fs::write(directory.path().join(old), "partial").unwrap();
    let running = block_on(store.upload("w/running", None)).unwrap();
    assert!(block_on(store.list("")).unwrap().is_empty());
    let found = block_on(store.at("w").stale_uploads("")).unwrap();
    assert_eq!(found.iter().map(|upload| upload.key.as_str()).collect::<Vec<_>>(), ["running", "x/part_001.tar.lz4"]);
    let aborted = block_on(store.abort_stale_uploads("w", Utc::now() - Duration::hours(1))).unwrap();
    assert_eq!(aborted.len(), 1);
    assert_eq!(block_on(running.finish()).unwrap(), 0);
    assert_eq!(tree(directory.path()), ["w", "w/running"]);
}

#[test]
fn symbolic_links_are_neither_followed_nor_listed() {
    let (directory, store) = rig();
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("secret"), "s").unwrap();
    symlink(outside.path(), directory.path().join("link")).unwrap();
    symlink(outside.path().join("secret"), directory.path().join("file")).unwrap();
    symlink("nowhere", directory.path().join("dangling")).unwrap();
    for key in ["link/secret", "link/new", "file", "dangling"] {
        assert_eq!(block_on(store.get(key)).unwrap_err().kind(), ErrorKind::Invalid, "{key}");
        assert_eq!(block_on(store.head(key)).unwrap_err().kind(), ErrorKind::Invalid, "{key}");
        let error = block_on(store.put(key, Bytes::new())).unwrap_err();
        assert!(error.to_string().contains("symbolic link"), "{error}");
        assert!(block_on(store.delete(&[key.to_owned()])).is_err(), "{key}");
    }
    assert!(block_on(store.list("")).unwrap().is_empty());
    assert!(block_on(store.list_folder("")).unwrap().folders.is_empty());
    assert!(block_on(store.list("link")).is_err());
    assert_eq!(tree(outside.path()), ["secret"]);
    // The root itself may be a link: that is how a disk is put in its place.
    let linked = outside.path().join("root");
    symlink(directory.path(), &linked).unwrap();
    block_on(open(&linked).unwrap().put("a", Bytes::new())).unwrap();
    assert!(directory.path().join("a").is_file());
}

#[test]
fn objects_and_folders_do_not_replace_each_other() {
    let (_directory, store) = rig();
    block_on(store.put("a/b", Bytes::new())).unwrap();
    assert_eq!(block_on(store.put("a", Bytes::new())).unwrap_err().kind(), ErrorKind::Exists);
    assert_eq!(block_on(store.put("a/b/c", Bytes::new())).unwrap_err().kind(), ErrorKind::Exists);
    assert_eq!(block_on(store.get("a")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(block_on(store.get("a/b/c")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(block_on(store.head("a")).unwrap(), None);
    assert_eq!(block_on(store.head("a/b/c")).unwrap(), None);
    block_on(store.delete(&["a".to_owned(), "a/b/c".to_owned()])).unwrap();
    assert_eq!(block_on(store.list("")).unwrap().len(), 1);
}

#[test]
fn deleting_removes_directories_that_become_empty() {
    let (directory, store) = rig();
    for key in ["a/b/c/1", "a/b/2", "d/3"] {
        block_on(store.put(key, Bytes::new())).unwrap();
    }
    block_on(store.delete(&["a/b/c/1".to_owned()])).unwrap();
    assert_eq!(tree(directory.path()), ["a", "a/b", "a/b/2", "d", "d/3"]);
    block_on(store.delete(&["a/b/2".to_owned(), "d/3".to_owned()])).unwrap();
    assert_eq!(tree(directory.path()), Vec::<String>::new());
}

#[test]
fn an_object_that_shrinks_while_it_is_read_is_an_error() {
    let (directory, store) = rig();
    block_on(store.put("a", Bytes::from(vec![1; 3 << 20]))).unwrap();
    let mut reader = block_on(store.read("a")).unwrap();
    let mut delivered = block_on(reader.next()).unwrap().unwrap().len();
    fs::File::options().write(true).open(directory.path().join("a")).unwrap().set_len(1_500_000).unwrap();
    let error = loop {
        match block_on(reader.next()) {
            Ok(chunk) => delivered += chunk.expect("no end before the error").len(),
            Err(error) => break error,
        }
    };
    assert_eq!((delivered, error.kind()), (1_500_000, ErrorKind::Corrupt));
}

#[test]
fn special_files_are_no_objects() {
    let (directory, store) = rig();
    nix::unistd::mkfifo(&directory.path().join("pipe"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert!(block_on(store.list("")).unwrap().is_empty());
    assert_eq!(block_on(store.get("pipe")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(block_on(store.head("pipe")).unwrap(), None);
}

/// Deletions remove directories in which others are about to write.
#[test]
fn writing_and_deleting_in_one_folder_at_once() {
    let (_directory, store) = rig();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = store.clone();
            scope.spawn(move || {
                for round in 0..50 {
                    let key = format!("a/b/{thread}-{round}");
                    block_on(store.put(&key, Bytes::from_static(b"x"))).unwrap();
                    assert_eq!(block_on(store.get(&key)).unwrap(), "x");
                    block_on(store.delete(&[key])).unwrap();
                    block_on(store.list("")).unwrap();
                }
            });
        }
    });
    assert!(block_on(store.list("")).unwrap().is_empty());
}
