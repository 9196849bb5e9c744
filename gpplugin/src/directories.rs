//! Commands for people: whole directories, lists, deletion.

use std::fs;
use std::path::{Path, PathBuf};

use segment_agent::error::{Error, Result};
use storage::ObjectInfo;

use crate::backup;
use crate::key::{self, FileKey};
use crate::record;
use crate::restore;
use crate::session::Session;

/// `backup_directory`: every file below `path`, under the end of its own path.
pub fn backup(session: &Session, path: &Path) -> Result<()> {
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for file in children(&folder)? {
            if file.is_dir() {
                folders.push(file);
            } else {
                backup::file_as(session, &file, &FileKey::of_path(&file)?)?;
            }
        }
    }
    Ok(())
}

fn children(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| Error::file("listing", folder, error);
    let entries = fs::read_dir(folder).map_err(failed)?;
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().map_err(failed)?;
    paths.sort();
    Ok(paths)
}

/// `restore_directory`: everything that is stored of the backup whose directory `path` is.
pub fn restore(session: &Session, path: &Path) -> Result<()> {
    let key = FileKey::of_path(&path.join("any"))?;
    fs::create_dir_all(path).map_err(|error| Error::file("creating the directory", path, error))?;
    let files = files_of(session, &key.folder)?;
    if files.is_empty() {
        return Err(crate::destination::absent(&session.destination, &key.folder));
    }
    for file in files {
        let target = path.join(&file.file);
        restore::file_from(session, &file, &target)?;
    }
    Ok(())
}

/// The files of a backup's folder: one for each record, and one for each object that has none.
pub fn files_of(session: &Session, folder: &str) -> Result<Vec<FileKey>> {
    let objects = session.wait(session.destination.repository.store().list(folder))?;
    let names: Vec<&str> =
        objects.iter().filter_map(|object| object.key.strip_prefix(folder)?.strip_prefix('/')).collect();
    let recorded: Vec<&str> = names.iter().filter_map(|name| record::file_of(name)).collect();
    let belongs =
        |name: &str| recorded.iter().any(|file| name == *file || codec::Codec::from_file_name(name).0 == *file);
    let lone = names.iter().filter(|name| record::file_of(name).is_none() && !belongs(name));
    let mut files: Vec<&str> = recorded.iter().chain(lone).copied().collect();
    files.sort_unstable();
    Ok(files.into_iter().map(|file| FileKey { folder: folder.to_owned(), file: file.to_owned() }).collect())
}

/// `list_directory`: size and key of each object below a prefix, integrity records included.
pub fn list(session: &Session, prefix: &str) -> Result<()> {
    let objects = below(session, prefix)?;
    let width = objects.iter().map(|object| object.size.to_string().len()).max().unwrap_or(1).max(4);
    println!("{:>width$}  NAME", "SIZE");
    for object in objects {
        println!("{:>width$}  {}", object.size, object.key);
    }
    Ok(())
}

/// `delete_directory`: everything below a prefix, which must name something.
pub fn delete(session: &Session, prefix: &str) -> Result<()> {
    if prefix.trim_matches('/').is_empty() {
        return Err(Error::refused("no prefix is given", "name a folder; the whole storage is not deleted"));
    }
    let keys: Vec<String> = below(session, prefix)?.into_iter().map(|object| object.key).collect();
    tracing::info!("deleting {} objects below {prefix}", keys.len());
    session.wait(session.destination.root.delete(&keys))?;
    Ok(())
}

fn below(session: &Session, prefix: &str) -> Result<Vec<ObjectInfo>> {
    Ok(session.wait(session.destination.root.list(prefix.trim_matches('/')))?)
}

/// `delete_backup`: the objects of all segments, unfinished uploads included; another backup's folder has another name. A backup
/// that is not there is no error.
pub fn delete_backup(session: &Session, timestamp: &str) -> Result<()> {
    let folder = key::backup_folder(timestamp)?;
    let store = session.destination.repository.store();
    let objects = session.wait(store.list(&folder))?;
    let (records, data): (Vec<_>, Vec<_>) =
        objects.into_iter().map(|object| object.key).partition(|key| record::file_of(key).is_some());
    // Records first: a deletion that stops halfway leaves nothing that passes for a backup.
    session.wait(store.delete(&records))?;
    session.wait(store.delete(&data))?;
    let count = records.len() + data.len();
    match session.wait(store.abort_stale_uploads(&folder, chrono::Utc::now())) {
        Ok(unfinished) => tracing::info!("deleted {count} objects and {} unfinished uploads", unfinished.len()),
        // Not every server can list them; a rule of the bucket removes them there.
        Err(error) => tracing::warn!("deleted {count} objects; unfinished uploads may be left: {error}"),
    }
    Ok(())
}
