//! A delta on top of a backup that WAL-G made of a real Greenplum 6: what it stores of append-optimized tables is what WAL-G
//! stored, byte for byte, and what it restores to is what was backed up.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use codec::{Cipher, Compression};
use formats::ao::{AoFile, AoFilesMetadata, StorageType};
use formats::{BackupName, layout};
use pgclient::{AoKind, AoSegmentFile};
use pgdata::RelationPath;
use storage::Store;

use super::push::Pushes;
use super::restore::restore_to;
use crate::push::shared::Found;
use crate::repository::Repository;

const FULL: &str = "base_000000010000000000000002";
const DELTA: &str = "base_000000010000000000000005_D_000000010000000000000002";
const THRESHOLD: u64 = 4096;

fn unpacked(into: &Path) -> PathBuf {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/greenplum6/store.tar.zst");
    let done = Command::new("tar").args(["-x", "--zstd", "-f"]).arg(archive).arg("-C").arg(into).status().unwrap();
    assert!(done.success());
    into.join("store/segments_005/seg0")
}

/// The objects of a folder of files, without those that `leave_out` names.
fn objects(root: &Path, leave_out: &[&str]) -> BTreeMap<String, Bytes> {
    let (mut found, mut open) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let key = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                open.push(path);
            } else if !leave_out.iter().any(|text| key.contains(text)) {
                found.insert(key, Bytes::from(std::fs::read(path).unwrap()));
            }
        }
    }
    found
}

fn pushes(objects: &BTreeMap<String, Bytes>) -> Pushes {
    let repository = Repository::over(Store::memory(), Compression::Lz4, Cipher::None);
    let pushes = Pushes::new(2).over(repository, THRESHOLD);
    for (key, body) in objects {
        pushes.runtime.block_on(pushes.repository.store().put(key, body.clone())).unwrap();
    }
    pushes
}

fn entries(pushes: &Pushes, backup: &BackupName) -> BTreeMap<String, AoFile> {
    let key = layout::ao_files_metadata_key(backup);
    let read = pushes.runtime.block_on(pushes.repository.get_json::<AoFilesMetadata>(&key));
    read.unwrap().files
}

fn object(pushes: &Pushes, entry: &AoFile) -> Bytes {
    let key = layout::aosegment_key(&entry.storage_path);
    pushes.runtime.block_on(pushes.repository.store().get(&key)).unwrap()
}

/// A catalog that says what the entries noted.
fn catalog(entries: &BTreeMap<String, AoFile>) -> Found {
    let mut found = Found::default();
    for (path, entry) in entries {
        let path = RelationPath::parse(path).unwrap();
        let md5 = entry.storage_path.split('_').nth(2).unwrap();
        found.add(&AoSegmentFile {
            tablespace: path.tablespace,
            database: path.database,
            relfilenode: path.file.relfilenode,
            segment_number: path.file.segment_number,
            kind: if entry.storage_type == StorageType::ROW { AoKind::Row } else { AoKind::Column },
            eof: entry.eof,
            mod_count: entry.mod_count,
            name_md5: u128::from_str_radix(md5, 16).unwrap(),
        });
    }
    found
}

#[test]
fn a_delta_of_wal_gs_full_backup_stores_what_wal_gs_delta_stored() {
    let dir = tempfile::tempdir().unwrap();
    let store = unpacked(dir.path());
    let (full, delta) = (BackupName::new(FULL).unwrap(), BackupName::new(DELTA).unwrap());
    let theirs = pushes(&objects(&store, &[]));
    let data = dir.path().join("data");
    restore_to(&theirs, &delta, &data);

    let ours = pushes(&objects(&store, &["_D_"]));
    // WAL-G leaves out what its full backup has and what did not change.
    let mut expected = entries(&theirs, &full);
    expected.extend(entries(&theirs, &delta));
    let bytes = |path: &str| std::fs::metadata(data.join(path.trim_start_matches('/'))).map_or(0, |file| file.len());
    expected.retain(|path, _| bytes(path) >= THRESHOLD);
    let backup = ours.push(&data, catalog(&expected), 1, Some(&full));
    let found = entries(&ours, &backup);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    let mut increments = 0;
    for (path, entry) in &found {
        let expected = &expected[path];
        assert_eq!((&entry.checksum, entry.eof), (&expected.checksum, expected.eof), "{path}");
        assert_eq!(entry.is_incremented, expected.is_incremented, "{path}");
        assert_eq!(entry.is_skipped, !entry.is_incremented, "{path}");
        assert_eq!(object(&ours, entry), object(&theirs, expected), "{path}");
        assert_eq!(entry.initial_upload_time, expected.initial_upload_time, "{path}");
        increments += usize::from(entry.is_incremented);
    }
    assert!(increments >= 4 && increments < found.len(), "{increments} of {}", found.len());

    let again = dir.path().join("again");
    restore_to(&ours, &backup, &again);
    let (expected, found) = (objects(&data, &[".damson"]), objects(&again, &[".damson"]));
    let different: Vec<_> = expected.keys().filter(|path| expected.get(*path) != found.get(*path)).collect();
    assert!(different.is_empty() && expected.len() == found.len(), "{different:?}");
}
