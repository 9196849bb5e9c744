//! The files of a running server, beside its catalogs.
//!
//! Tables change meanwhile, so what seems too short is looked at a second time: only what is too short by a catalog that was
//! read before and after the file is told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pgclient::{AoSegmentFile, ConnectOptions, Database, Server};

use super::Lengths;
use crate::error::{Error, Result};

/// Object id of `pg_default`, whose files lie under `base`.
const DEFAULT_TABLESPACE: u32 = 1663;

/// Checks every database that takes connections.
pub async fn check_server(connect: &ConnectOptions, data_dir: &Path) -> Result<Lengths> {
    let server = Server::connect_segment(connect).await?;
    let mut lengths = Lengths::default();
    for database in server.databases().await? {
        let options = connect.clone().with_database(&database.name);
        let server = Server::connect_segment(&options).await?;
        check_database(&server, &database, data_dir, &mut lengths).await?;
    }
    Ok(lengths)
}

async fn check_database(server: &Server, database: &Database, data_dir: &Path, lengths: &mut Lengths) -> Result<()> {
    let files = server.append_optimized_files(database).await?;
    lengths.files += files.len() as u64;
    let mut short = Vec::new();
    for file in &files {
        if length_on_disk(data_dir, file)? < wanted(file) {
            short.push(place(file));
        }
    }
    if short.is_empty() {
        return Ok(());
    }
    let again = server.append_optimized_files(database).await?;
    let again: BTreeMap<Place, &AoSegmentFile> = again.iter().map(|file| (place(file), file)).collect();
    for file in short.iter().filter_map(|place| again.get(place)) {
        let (length, eof) = (length_on_disk(data_dir, file)?, wanted(file));
        if length < eof {
            let path = find(data_dir, file)?.unwrap_or_else(|| relative(file, Path::new("")));
            lengths.problems.push(format!(
                "database {}: {} has {length} bytes, its catalog says {eof}",
                database.name,
                path.display()
            ));
        }
    }
    Ok(())
}

/// Tablespace, database, relfilenode, number.
type Place = (u32, u32, u32, u32);

fn place(file: &AoSegmentFile) -> Place {
    (file.tablespace, file.database, file.relfilenode, file.segment_number)
}

fn wanted(file: &AoSegmentFile) -> u64 {
    u64::try_from(file.eof).unwrap_or(0)
}

/// 0 for a file that does not exist.
fn length_on_disk(data_dir: &Path, file: &AoSegmentFile) -> Result<u64> {
    let Some(path) = find(data_dir, file)? else { return Ok(0) };
    match std::fs::metadata(&path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(Error::file("looking at", path, error)),
    }
}

/// Where the file should be; nothing if its tablespace has no folder of the database.
fn find(data_dir: &Path, file: &AoSegmentFile) -> Result<Option<PathBuf>> {
    if file.tablespace == DEFAULT_TABLESPACE {
        return Ok(Some(relative(file, &data_dir.join("base"))));
    }
    // Below the link lies one folder a server version, named by the version and, in Greenplum, the dbid.
    let link = data_dir.join("pg_tblspc").join(file.tablespace.to_string());
    let fail = |error| Error::file("listing the tablespace", &link, error);
    for entry in std::fs::read_dir(&link).map_err(fail)? {
        let version = entry.map_err(fail)?.path();
        if version.join(file.database.to_string()).is_dir() {
            return Ok(Some(relative(file, &version)));
        }
    }
    Ok(None)
}

fn relative(file: &AoSegmentFile, root: &Path) -> PathBuf {
    let name = match file.segment_number {
        0 => file.relfilenode.to_string(),
        number => format!("{}.{number}", file.relfilenode),
    };
    root.join(file.database.to_string()).join(name)
}

#[cfg(test)]
mod tests {
    use pgclient::AoKind;

    use super::*;

    fn file(tablespace: u32, segment_number: u32) -> AoSegmentFile {
        AoSegmentFile {
            tablespace,
            database: 16384,
            relfilenode: 16390,
            segment_number,
            kind: AoKind::Column,
            eof: 10,
            mod_count: 1,
            name_md5: 0,
        }
    }

    #[test]
    fn files_of_every_tablespace_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let elsewhere = root.join("pg_tblspc/16500/GPDB_6_301908232/16384");
        for folder in [root.join("base/16384"), elsewhere.clone(), root.join("pg_tblspc/16500/GPDB_7_1/1")] {
            std::fs::create_dir_all(folder).unwrap();
        }
        std::fs::write(root.join("base/16384/16390"), [0; 3]).unwrap();
        std::fs::write(root.join("base/16384/16390.129"), [0; 4]).unwrap();
        std::fs::write(elsewhere.join("16390.1"), [0; 5]).unwrap();
        let length = |tablespace, number| length_on_disk(root, &file(tablespace, number)).unwrap();
        assert_eq!((length(1663, 0), length(1663, 129), length(1663, 2)), (3, 4, 0));
        assert_eq!((length(16500, 1), length(16500, 2)), (5, 0));
        assert!(length_on_disk(root, &file(16501, 1)).is_err());
    }
}
