//! What every storage promises, asked of each of them.

#![allow(clippy::unwrap_used, clippy::panic)]

mod rig;

use bytes::Bytes;
use chrono::{Duration, Utc};
use rig::S3Rig;
use storage::{Error, ErrorKind, FaultPlan, Operation, StorageSettings, Store, Upload};
use tempfile::TempDir;

#[tokio::test]
async fn memory_conforms() {
    conforms(&Store::memory()).await;
}

#[test]
fn a_directory_conforms_without_a_runtime() {
    let directory = TempDir::new().unwrap();
    let store = Store::open(&StorageSettings::File { root: directory.path().to_owned() }).unwrap();
    assert!(store.is_local());
    futures::executor::block_on(conforms(&store));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_conforms() {
    let rig = S3Rig::start().await;
    conforms(&rig.store()).await;
    assert_eq!(rig.unfinished(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_conforms_with_small_delete_batches_and_without_a_folder() {
    let rig = S3Rig::start().await;
    let mut settings = rig.settings();
    settings.delete_batch_size = 1;
    settings.folder = String::new();
    conforms(&Store::open(&StorageSettings::S3(settings)).unwrap()).await;
}

async fn conforms(store: &Store) {
    missing_things(store).await;
    small_objects(store).await;
    listings(store).await;
    sizes(store).await;
    uploads_that_end_early(store).await;
    odd_keys(store).await;
    faults(store).await;
    deletions(store).await;
}

async fn missing_things(store: &Store) {
    assert!(store.list("").await.unwrap().is_empty());
    assert!(store.list("no/such/folder").await.unwrap().is_empty());
    assert_eq!(store.list_folder("no/such/folder/").await.unwrap(), storage::Listing::default());
    assert_eq!(store.head("no/such").await.unwrap(), None);
    assert_eq!(store.get("no/such").await.unwrap_err().kind(), ErrorKind::NotFound);
    let error = store.read("no/such").await.err().unwrap();
    assert!(matches!(&error, Error::NotFound { .. }), "{error}");
    assert!(error.to_string().contains("no/such"), "{error}");
    store.delete(&["no/such".to_owned()]).await.unwrap();
    store.delete(&[]).await.unwrap();
}

async fn small_objects(store: &Store) {
    let folder = store.at("/small/");
    folder.put("a", Bytes::from_static(b"one")).await.unwrap();
    assert_eq!(folder.get("a").await.unwrap(), "one");
    folder.put("a", Bytes::from_static(b"twelve")).await.unwrap();
    assert_eq!(folder.get("a").await.unwrap(), "twelve");
    assert_eq!(store.get("small/a").await.unwrap(), "twelve");
    let info = folder.head("a").await.unwrap().unwrap();
    assert_eq!((info.key.as_str(), info.size), ("a", 6));
    assert!((Utc::now() - info.modified).abs() < Duration::minutes(5), "{}", info.modified);
    folder.put("empty", Bytes::new()).await.unwrap();
    assert_eq!(folder.get("empty").await.unwrap(), "");
    assert_eq!(folder.head("empty").await.unwrap().unwrap().size, 0);
    assert!(folder.describe().ends_with("small"), "{}", folder.describe());
}

async fn listings(store: &Store) {
    let store = store.at("listings");
    for key in ["b/2", "b/1", "a", "c/d/e", "c/f", "b.x"] {
        store.put(key, Bytes::from(key.to_owned())).await.unwrap();
    }
    let keys = |objects: Vec<storage::ObjectInfo>| objects.into_iter().map(|object| object.key).collect::<Vec<_>>();
    assert_eq!(keys(store.list("").await.unwrap()), ["a", "b.x", "b/1", "b/2", "c/d/e", "c/f"]);
    assert_eq!(keys(store.list("b").await.unwrap()), ["b/1", "b/2"]);
    assert_eq!(keys(store.at("b").list("").await.unwrap()), ["1", "2"]);
    let top = store.list_folder("").await.unwrap();
    assert_eq!(top.folders, ["b", "c"]);
    assert_eq!(keys(top.objects), ["a", "b.x"]);
    let below = store.list_folder("c").await.unwrap();
    assert_eq!(below.folders, ["c/d"]);
    assert_eq!((below.objects[0].key.as_str(), below.objects[0].size), ("c/f", 3));
    assert!(store.list("a").await.unwrap().is_empty(), "an object is not a folder");
}

fn pattern(length: usize) -> Bytes {
    (0..length).map(|i| (i % 251) as u8 ^ (i >> 12) as u8).collect::<Vec<u8>>().into()
}

async fn write_in_chunks(store: &Store, key: &str, content: &Bytes, chunk: usize) -> Upload {
    let mut upload = store.upload(key, Some(content.len() as u64)).await.unwrap();
    for start in (0..content.len()).step_by(chunk) {
        upload.write(content.slice(start..content.len().min(start + chunk))).await.unwrap();
    }
    upload
}

/// Around the sizes of chunks (1 MiB) and of parts (5 MiB here).
async fn sizes(store: &Store) {
    const MIB: usize = 1 << 20;
    for (length, chunk) in
        [(0, 1), (1, 1), (MIB, 100_000), (MIB + 1, MIB), (5 * MIB, MIB), (5 * MIB + 1, 7 * MIB), (13 * MIB, 3 * MIB)]
    {
        let content = pattern(length);
        let upload = write_in_chunks(store, "sizes/x", &content, chunk).await;
        assert_eq!(upload.finish().await.unwrap(), length as u64);
        assert_eq!(store.head("sizes/x").await.unwrap().unwrap().size, length as u64);
        let mut reader = store.read("sizes/x").await.unwrap();
        assert_eq!(reader.size(), length as u64);
        let mut read = Vec::new();
        while let Some(chunk) = reader.next().await.unwrap() {
            assert!(!chunk.is_empty());
            read.extend_from_slice(&chunk);
        }
        assert!(read == content, "{length} bytes came back different");
        assert_eq!(reader.next().await.unwrap(), None);
        assert!(store.get("sizes/x").await.unwrap() == content);
    }
    let content = pattern(11 * MIB);
    store.put("sizes/put", content.clone()).await.unwrap();
    assert!(store.get("sizes/put").await.unwrap() == content);
    store.delete(&["sizes/x".to_owned(), "sizes/put".to_owned()]).await.unwrap();
}

async fn uploads_that_end_early(store: &Store) {
    let content = pattern(12 << 20);
    store.put("early/kept", Bytes::from_static(b"old")).await.unwrap();
    let upload = write_in_chunks(store, "early/aborted", &content, 1 << 20).await;
    assert_eq!(store.head("early/aborted").await.unwrap(), None, "visible before it is finished");
    assert_eq!(store.list("early").await.unwrap().len(), 1);
    upload.abort().await.unwrap();
    write_in_chunks(store, "early/kept", &content, 1 << 20).await.abort().await.unwrap();
    store.upload("early/unused", None).await.unwrap().abort().await.unwrap();
    assert_eq!(store.get("early/kept").await.unwrap(), "old");
    assert_eq!(store.list("early").await.unwrap().len(), 1);
}

async fn odd_keys(store: &Store) {
    let store = store.at("odd");
    let keys = ["%41 b+c", "ü/é", "a&b<c>'\"", "x#1", ".hidden", "a..b", "q?r=s", "tilde~", "x.tmp.20240101T000000Z-1"];
    for key in keys {
        store.put(key, Bytes::from(key.to_owned())).await.unwrap();
        assert_eq!(store.get(key).await.unwrap(), key);
        assert_eq!(store.head(key).await.unwrap().unwrap().key, key);
    }
    let mut listed: Vec<String> = store.list("").await.unwrap().into_iter().map(|object| object.key).collect();
    let mut sorted = keys.map(str::to_owned);
    sorted.sort();
    assert_eq!(listed, sorted);
    listed.push("../odd/x#1".to_owned());
    assert_eq!(store.delete(&listed).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(store.list("").await.unwrap().len(), keys.len(), "nothing is deleted when a key is invalid");
    listed.pop();
    store.delete(&listed).await.unwrap();
    assert!(store.list("").await.unwrap().is_empty());
    for key in ["", "/a", "a/", "a//b", "../a", "a/../../b", "a\0b"] {
        assert_eq!(store.put(key, Bytes::new()).await.unwrap_err().kind(), ErrorKind::Invalid, "{key:?}");
        assert_eq!(store.get(key).await.unwrap_err().kind(), ErrorKind::Invalid, "{key:?}");
        assert_eq!(store.head(key).await.unwrap_err().kind(), ErrorKind::Invalid, "{key:?}");
        assert!(store.upload(key, None).await.is_err(), "{key:?}");
    }
    assert_eq!(store.list("a/../..").await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(store.at("../..").list("").await.unwrap_err().kind(), ErrorKind::Invalid);
}

async fn faults(store: &Store) {
    let store = store.at("faults");
    let before = store.requests();
    let full = store.clone().failing(FaultPlan::nth(2).of(Operation::Write).with(ErrorKind::NoSpace));
    let mut upload = full.upload("a", None).await.unwrap();
    upload.write(pattern(6 << 20)).await.unwrap();
    assert_eq!(upload.write(pattern(6 << 20)).await.unwrap_err().kind(), ErrorKind::NoSpace);
    assert_eq!(upload.write(pattern(1)).await.unwrap_err().kind(), ErrorKind::Invalid, "given up");
    assert_eq!(upload.finish().await.unwrap_err().kind(), ErrorKind::Invalid, "given up");
    let unfinished = store.clone().failing(FaultPlan::nth(1).of(Operation::Finish));
    let upload = write_in_chunks(&unfinished, "a", &pattern(10), 4).await;
    assert_eq!(upload.finish().await.unwrap_err().kind(), ErrorKind::Transient);
    assert!(store.list("").await.unwrap().is_empty());
    let dead = store.clone().failing(FaultPlan::nth(2).on_key("b").with(ErrorKind::Denied).forever());
    dead.put("b", pattern(10)).await.unwrap();
    dead.put("c", pattern(10)).await.unwrap();
    assert_eq!(dead.get("b").await.unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(dead.head("b").await.unwrap_err().kind(), ErrorKind::Denied);
    let mut reader = store.clone().failing(FaultPlan::nth(1).of(Operation::Chunk)).read("b").await.unwrap();
    assert!(reader.next().await.is_err());
    let after = store.requests();
    assert_eq!(after.puts - before.puts, 2);
    assert_eq!((after.uploads - before.uploads, after.finishes - before.finishes), (2, 2));
    assert_eq!((after.lists - before.lists, after.heads - before.heads), (1, 1));
}

async fn deletions(store: &Store) {
    let everything: Vec<String> = store.list("").await.unwrap().into_iter().map(|object| object.key).collect();
    assert!(everything.len() > 5);
    store.delete(&everything).await.unwrap();
    assert!(store.list("").await.unwrap().is_empty());
    assert_eq!(store.list_folder("").await.unwrap(), storage::Listing::default());
}
