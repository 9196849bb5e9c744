//! Restores of a history's backups.

use std::collections::BTreeMap;
use std::path::Path;

use formats::BackupName;
use tokio_util::sync::CancellationToken;

use super::push::Pushes;
use crate::fetch::{FetchRequest, fetch};
use crate::monitor::Monitor;
use crate::pool::Pool;

/// The files of tables in `backup`, by the name that a walk gives them.
pub fn restore(pushes: &Pushes, backup: &BackupName) -> BTreeMap<String, Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    restore_to(pushes, backup, &dir.path().join("data"));
    files(&dir.path().join("data"))
}

/// Restores everything to a directory that is made.
pub fn restore_to(pushes: &Pushes, backup: &BackupName, destination: &Path) {
    let request = FetchRequest { durable: false, ..FetchRequest::new(backup.clone(), destination.to_owned(), true) };
    let (pool, cancel) = (Pool::with_workers(2), CancellationToken::new());
    let fetched = pushes.runtime.block_on(fetch(&pushes.repository, &request, &pool, &Monitor::silent(), &cancel));
    fetched.unwrap_or_else(|error| panic!("backup {backup}: {error}"));
}

fn files(data_dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let folder = data_dir.join("base/5");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = paths.map(|path| {
        let name = format!("/{}", path.strip_prefix(data_dir).unwrap().display());
        let content = std::fs::read(&path).unwrap();
        (name, content)
    });
    named.collect()
}
