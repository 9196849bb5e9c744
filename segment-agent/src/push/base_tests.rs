//! Which backups can be the base of a delta, over a storage in memory.

use codec::{Cipher, Compression};
use formats::files::FileDescription;
use formats::manifest::{ManifestObject, ManifestWriter};
use formats::{ContentHash, Timestamp};
use storage::Store;

use super::*;
use crate::bridge::ObjectDigest;

const FULL: &str = "base_000000010000000000000003";
const DELTA: &str = "base_000000010000000000000005_D_000000010000000000000003";
const OLD: &str = "2026-11-21T08:00:00.123456789Z";
const DURING: &str = "2026-11-21T09:00:05Z";
const LIST: &str =
    r#"{"Files":{"/base/5/1":{"MTime":"2026-11-21T08:00:00.123456789Z"},"base/5/2":{"MTime":"2026-11-21T09:00:05Z"}}}"#;

fn repository() -> Repository {
    Repository::over(Store::memory(), Compression::Lz4, Cipher::None)
}

fn sentinel() -> SegmentSentinel {
    SegmentSentinel {
        start_lsn: Some(Lsn(100)),
        finish_lsn: Some(Lsn(200)),
        system_identifier: Some(SystemIdentifier(7)),
        pg_version: 150_020,
        start_time: "2026-11-21T09:00:00Z".parse().unwrap(),
        ..Default::default()
    }
}

async fn put(repository: &Repository, name: &str, sentinel: &SegmentSentinel, list: Option<&str>) -> BackupName {
    let name = BackupName::new(name).unwrap();
    repository.put_json(&layout::sentinel_key(&name), sentinel).await.unwrap();
    if let Some(list) = list {
        repository.store().put(&layout::files_metadata_key(&name), list.to_owned().into()).await.unwrap();
    }
    name
}

async fn put_manifest(repository: &Repository, name: &BackupName, promised: &str) {
    let digest = ObjectDigest::of(promised.as_bytes());
    let encoder = codec::Encoder::new(Compression::Zstd(codec::ZstdLevel::Default), &repository.cipher, Vec::new());
    let mut writer = ManifestWriter::new(encoder.unwrap(), name).unwrap();
    let object = ManifestObject {
        name: "files_metadata.json".to_owned(),
        size: digest.bytes,
        blake3: ContentHash(digest.blake3),
    };
    writer.add_object(&object).unwrap();
    let bytes = writer.finish().unwrap().finish().unwrap();
    repository.store().put(&layout::manifest_key(name), bytes.into()).await.unwrap();
}

async fn load(repository: &Repository, name: &BackupName) -> Result<Usable<Base>> {
    super::load(repository, name, &CancellationToken::new()).await
}

async fn loaded(repository: &Repository, name: &BackupName) -> Base {
    load(repository, name).await.unwrap().map_err(|why| panic!("{why}")).unwrap()
}

async fn refused(repository: &Repository, name: &BackupName) -> String {
    load(repository, name).await.unwrap().map(|base| panic!("{} can be a base", base.name)).unwrap_err()
}

fn nanos(time: &str) -> i64 {
    time.parse::<Timestamp>().unwrap().unix_nanos()
}

#[tokio::test]
async fn files_of_the_base_with_their_times() {
    let repository = repository();
    let name = put(&repository, FULL, &sentinel(), Some(LIST)).await;
    let files = loaded(&repository, &name).await.files;
    assert_eq!(files.modified_nanos("/base/5/1"), Some(nanos(OLD)));
    assert_eq!(files.modified_nanos("/base/5/2"), Some(nanos(DURING)));
    assert_eq!(files.modified_nanos("/base/5/3"), None);
    // Nothing is known of how WAL-G's times were taken: what was written while the backup ran is looked at again.
    assert!(files.is_settled(nanos(OLD)) && !files.is_settled(nanos(DURING)));
    put_manifest(&repository, &name, LIST).await;
    let files = loaded(&repository, &name).await.files;
    assert!(files.is_settled(nanos(DURING)));
}

#[tokio::test]
async fn lists_inside_the_sentinel() {
    let repository = repository();
    let mut old = sentinel();
    old.legacy_files.insert("/base/5/1".to_owned(), FileDescription::whole(OLD.parse().unwrap()));
    let name = put(&repository, FULL, &old, None).await;
    let files = loaded(&repository, &name).await.files;
    assert_eq!(files.modified_nanos("/base/5/1"), Some(nanos(OLD)));
}

#[tokio::test]
async fn what_cannot_be_a_base() {
    let repository = repository();
    let missing = BackupName::new(FULL).unwrap();
    let error = load(&repository, &missing).await.err().expect("an error").to_string();
    assert!(error.contains(FULL) && error.contains("does not exist"), "{error}");

    let name = put(&repository, FULL, &sentinel(), None).await;
    assert!(refused(&repository, &name).await.contains("files_metadata.json is missing"));
    put(&repository, FULL, &SegmentSentinel { files_metadata_disabled: true, ..sentinel() }, Some(LIST)).await;
    assert!(refused(&repository, &name).await.contains("without files_metadata.json"));
    put(&repository, FULL, &SegmentSentinel { finish_lsn: None, ..sentinel() }, Some(LIST)).await;
    assert!(refused(&repository, &name).await.contains("sentinel"));
    for cut in [0, 10, LIST.len() - 1] {
        put(&repository, FULL, &sentinel(), Some(&LIST[..cut])).await;
        assert!(refused(&repository, &name).await.contains("malformed"), "{cut}");
    }
    let unnamed = put(&repository, "base_x", &sentinel(), Some(LIST)).await;
    assert!(refused(&repository, &unnamed).await.contains("timeline"));
}

#[tokio::test]
async fn an_altered_list_is_noticed_by_the_manifest() {
    let repository = repository();
    let name = put(&repository, FULL, &sentinel(), Some(&LIST.replace("05Z", "06Z"))).await;
    put_manifest(&repository, &name, LIST).await;
    assert!(refused(&repository, &name).await.contains("another hash"));
    let manifest = layout::manifest_key(&name);
    repository.store().put(&manifest, bytes::Bytes::from_static(b"no manifest")).await.unwrap();
    assert!(!refused(&repository, &name).await.is_empty());
}

#[tokio::test]
async fn a_broken_chain_carries_nothing_more() {
    let repository = repository();
    let delta = SegmentSentinel {
        delta_from: Some(FULL.to_owned()),
        delta_full_name: Some(FULL.to_owned()),
        delta_count: Some(1),
        delta_lsn: Some(Lsn(100)),
        ..sentinel()
    };
    let name = put(&repository, DELTA, &delta, Some(LIST)).await;
    assert!(refused(&repository, &name).await.contains(FULL));
    let full = put(&repository, FULL, &sentinel(), Some(LIST)).await;
    let base = loaded(&repository, &name).await;
    assert_eq!((&base.full_name, base.count), (&full, 1));
}

#[tokio::test]
async fn histories_of_the_server() {
    let repository = repository();
    let name = put(&repository, FULL, &sentinel(), Some(LIST)).await;
    let base = loaded(&repository, &name).await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("pg_wal")).unwrap();
    let now = |start, timeline, system, version_num| Now {
        start_lsn: Lsn(start),
        timeline: TimelineId(timeline),
        system_identifier: Some(SystemIdentifier(system)),
        version_num,
    };
    let ask = |now: Now| base.objection(&now, dir.path());
    assert_eq!(ask(now(200, 1, 7, 150_020)).unwrap(), None);
    assert_eq!(
        ask(Now { system_identifier: None, ..now(200, 1, 7, 150_020) }).unwrap(),
        None,
        "Greenplum 6 does not say"
    );
    let future = ask(now(199, 1, 7, 150_020)).unwrap_err().to_string();
    assert!(future.contains("from the future"), "{future}");
    let other = ask(now(300, 1, 8, 150_020)).unwrap_err().to_string();
    assert!(other.contains("server 7") && other.contains("server 8"), "{other}");
    assert!(ask(now(300, 1, 7, 160_001)).unwrap().unwrap().contains("150020"));

    // On another timeline: only if the base lies before the place where its own was left.
    assert!(ask(now(300, 2, 7, 150_020)).unwrap().unwrap().contains("timeline 1"), "no history");
    let history = |text: &str| std::fs::write(dir.path().join("pg_wal/00000002.history"), text).unwrap();
    history("1\t0/C8\tno recovery target specified\n"); // 0xC8 is 200
    assert_eq!(ask(now(300, 2, 7, 150_020)).unwrap(), None);
    history("1\t0/C7\tno recovery target specified\n");
    assert!(ask(now(300, 2, 7, 150_020)).unwrap().is_some(), "the server was set back to before the base's end");
    // Then the start may even lie before the base: that is no error, but no base either.
    assert!(ask(now(150, 2, 7, 150_020)).unwrap().is_some());
    history("what");
    assert!(ask(now(300, 2, 7, 150_020)).unwrap().is_some());
}
