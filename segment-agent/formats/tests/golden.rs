//! Every JSON document that WAL-G wrote into the golden trees is read and written again: the bytes must be the same.

#![allow(clippy::unwrap_used, reason = "the functions below are parts of tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use formats::ao::AoFilesMetadata;
use formats::cluster::{ClusterSentinel, RestorePoint};
use formats::files::{FilesMetadata, FilesMetadataReader, FilesMetadataWriter, file_entry_json};
use formats::pax::PaxFilesMetadata;
use formats::segment::{ExtendedMetadata, SegmentSentinel};
use formats::{BackupId, ContentId, go_json, layout};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::TempDir;

const ARCHIVES: [&str; 6] = [
    "greenplum6/store.tar.zst",
    "postgres15/pg15-brotli.tar.gz",
    "postgres15/pg15-lz4.tar.gz",
    "postgres15/pg15-lz4-libsodium.tar.gz",
    "postgres15/pg15-zstd.tar.gz",
    "postgres15/pg15-zstd-pgp.tar.gz",
];

/// Unpacks the JSON documents of a golden archive.
fn unpack(archive: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(archive);
    let status = Command::new("tar")
        .arg("-xf")
        .arg(&path)
        .arg("-C")
        .arg(folder.path())
        .args(["--wildcards", "*.json"])
        .status()
        .unwrap();
    assert!(status.success(), "tar could not unpack {}", path.display());
    folder
}

fn documents(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(documents(&path));
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Reads the document, writes it again, compares the bytes.
fn same_bytes<T: DeserializeOwned + Serialize>(path: &Path) -> T {
    let original = fs::read(path).unwrap();
    let parsed: T = go_json::from_slice(&path.display().to_string(), &original).unwrap();
    let written = go_json::to_vec(&parsed);
    assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(&original), "{}", path.display());
    parsed
}

/// files_metadata.json has its maps in random order: the values must be the same, every entry must have the same bytes, and
/// the length must be the same, so that nothing else can differ.
fn same_files_metadata(path: &Path) -> FilesMetadata {
    let original = fs::read_to_string(path).unwrap();
    let parsed: FilesMetadata = go_json::from_slice("files_metadata.json", original.as_bytes()).unwrap();
    let written = go_json::to_vec_unescaped(&parsed);
    let value: Value = serde_json::from_str(&original).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), value, "{}", path.display());
    assert_eq!(written.len(), original.len(), "{}", path.display());
    assert_eq!(go_json::to_vec_unescaped(&value), original.as_bytes(), "{}", path.display());

    // In the document's own order, the streaming reader and writer give the document back.
    let mut writer = FilesMetadataWriter::new(Vec::new());
    let reader = || FilesMetadataReader::new("files_metadata.json", original.as_bytes());
    reader()
        .files(|path, description| {
            assert_eq!(parsed.files[&path], description);
            writer.add_file_entry(&file_entry_json(&path, &description)).unwrap();
        })
        .unwrap();
    for (tar, members) in value["TarFileSets"].as_object().unwrap() {
        writer.begin_tar(tar).unwrap();
        members.as_array().unwrap().iter().for_each(|name| writer.add_tar_member(name.as_str().unwrap()).unwrap());
    }
    let streamed = writer.finish(&reader().databases().unwrap()).unwrap();
    let databases = original.find(",\"DatabasesByNames\"").unwrap();
    assert!(streamed.starts_with(&original.as_bytes()[..databases]), "{}", path.display());
    assert_eq!(streamed.len(), original.len(), "{}", path.display());
    let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
    reader().tar_members(|tar, name| members.entry(tar.to_owned()).or_default().push(name)).unwrap();
    let mut listed = parsed.tar_file_sets.clone();
    listed.retain(|_, names| !names.is_empty());
    assert_eq!(members, listed);
    assert!(reader().tar_file_sets().unwrap().iter().eq(listed.keys()));
    parsed
}

#[test]
fn every_document_comes_back() {
    let mut counted = BTreeMap::<&str, u32>::new();
    for archive in ARCHIVES {
        let folder = unpack(archive);
        for path in documents(folder.path()) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let of_cluster = archive.starts_with("greenplum6") && !path.to_str().unwrap().contains(layout::SEGMENTS);
            let kind = match name {
                "metadata.json" => {
                    same_bytes::<ExtendedMetadata>(&path);
                    "metadata"
                }
                "files_metadata.json" => {
                    assert!(!same_files_metadata(&path).files.is_empty());
                    "files"
                }
                "ao_files_metadata.json" => {
                    same_bytes::<AoFilesMetadata>(&path);
                    "ao"
                }
                "pax_files_metadata.json" => {
                    same_bytes::<PaxFilesMetadata>(&path);
                    "pax"
                }
                _ if layout::restore_point_name_of_key(name).is_some() => {
                    let point: RestorePoint = same_bytes(&path);
                    assert_eq!(Some(point.name), layout::restore_point_name_of_key(name));
                    "restore point"
                }
                _ if layout::backup_name_of_sentinel_key(name).is_some() && of_cluster => {
                    same_bytes::<ClusterSentinel>(&path);
                    "cluster"
                }
                _ if layout::backup_name_of_sentinel_key(name).is_some() => {
                    same_bytes::<SegmentSentinel>(&path);
                    "segment"
                }
                other => panic!("unexpected document {other}"),
            };
            *counted.entry(kind).or_default() += 1;
        }
    }
    let expected =
        [("ao", 9), ("cluster", 3), ("files", 19), ("metadata", 19), ("pax", 9), ("restore point", 5), ("segment", 19)];
    assert!(counted.iter().map(|(kind, count)| (*kind, *count)).eq(expected), "{counted:?}");
}

/// The cluster's sentinel leads to each segment's documents, and they say the same.
#[test]
fn documents_of_a_cluster_agree() {
    let folder = unpack("greenplum6/store.tar.zst");
    let store = folder.path().join("store");
    let name = "backup_20261121T082833Z_D_20261121T082827Z".parse().unwrap();
    let cluster: ClusterSentinel = same_bytes(&store.join(layout::sentinel_key(&name)));
    let base = cluster.increment_base().unwrap().unwrap();
    assert_eq!((base.full_name.as_str(), base.count), ("backup_20261121T082823Z", 2));
    let point: RestorePoint = same_bytes(&store.join(layout::restore_point_key(name.as_str())));

    let mut compressed = 0;
    for segment in &cluster.segments {
        let place = store.join(layout::segment_prefix(segment.content_id));
        let sentinel: SegmentSentinel = same_bytes(&place.join(layout::sentinel_key(&segment.backup_name)));
        let metadata: ExtendedMetadata = same_bytes(&place.join(layout::metadata_key(&segment.backup_name)));
        assert_eq!(BackupId::from_user_data(&metadata.user_data.unwrap()).as_ref(), Some(&segment.backup_id));
        assert_eq!(Some(metadata.finish_lsn), sentinel.finish_lsn);
        assert_eq!(sentinel.delta_base().unwrap().unwrap().count, 2);
        assert_eq!(segment.restore_point_lsn.as_ref(), point.lsn_by_segment.get(&segment.content_id));
        compressed += sentinel.compressed_size;
        // Every append-optimized file of this backup is in its list of files as well.
        let ao: AoFilesMetadata = same_bytes(&place.join(layout::ao_files_metadata_key(&segment.backup_name)));
        let files = same_files_metadata(&place.join(layout::files_metadata_key(&segment.backup_name))).files;
        assert_eq!(ao.files.is_empty(), segment.content_id == ContentId::COORDINATOR);
        assert!(ao.files.iter().all(|(path, file)| files[path].mtime == file.mtime));
    }
    assert_eq!(compressed, cluster.compressed_size);
}

/// Nothing panics when a document is cut off or a byte of it altered; cut off documents are errors.
#[test]
fn damaged_documents_are_errors_or_other_values() {
    let folder = unpack("greenplum6/store.tar.zst");
    for path in documents(folder.path()) {
        let original = fs::read(&path).unwrap();
        if original.len() > 4096 {
            continue;
        }
        for at in (0..original.len()).step_by(5) {
            assert!(go_json::from_slice::<Value>("x", &original[..at]).is_err());
            let mut altered = original.clone();
            altered[at] ^= 0x11;
            for bytes in [&altered[..], &original[..at]] {
                let _ = go_json::from_slice::<ClusterSentinel>("x", bytes);
                let _ = go_json::from_slice::<RestorePoint>("x", bytes);
                let _ = go_json::from_slice::<SegmentSentinel>("x", bytes);
                let _ = go_json::from_slice::<ExtendedMetadata>("x", bytes);
                let _ = go_json::from_slice::<AoFilesMetadata>("x", bytes);
            }
        }
    }
}
