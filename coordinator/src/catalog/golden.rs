//! For tests: the storage of a real Greenplum 6 cluster as WAL-G wrote it.

use std::path::PathBuf;
use std::process::Command;

use storage::{StorageSettings, Store};
use tempfile::TempDir;

pub(crate) const FULL: &str = "backup_20261121T082823Z";
pub(crate) const DELTA_1: &str = "backup_20261121T082827Z_D_20261121T082823Z";
pub(crate) const DELTA_2: &str = "backup_20261121T082833Z_D_20261121T082827Z";

/// A fresh copy in `store/` of the directory, with the modification times of the original.
pub(crate) fn store() -> (TempDir, Store) {
    let archive = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/greenplum6/store.tar.zst");
    let directory = TempDir::new().unwrap();
    let tar = Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(directory.path()).status().unwrap();
    assert!(tar.success());
    let store = Store::open(&StorageSettings::File { root: directory.path().join("store") }).unwrap();
    (directory, store)
}
