//! What becomes of operations on a bucket when requests fail: a real server behind a proxy that breaks them.

#![allow(clippy::unwrap_used, clippy::panic)]

mod rig;

use bytes::Bytes;
use chrono::{Duration, Utc};
use rig::{Fault, PART_BYTES, S3Rig, refusal};
use storage::{ErrorKind, S3Credentials, S3Settings, Secret, ServerSideEncryption, StorageSettings, Store};

fn open(settings: S3Settings) -> Store {
    Store::open(&StorageSettings::S3(settings)).unwrap()
}

fn pattern(length: usize) -> Bytes {
    (0..length).map(|i| (i % 241) as u8 ^ (i >> 10) as u8).collect::<Vec<u8>>().into()
}

async fn upload(store: &Store, key: &str, content: &Bytes) -> storage::Result<u64> {
    let mut upload = store.upload(key, None).await?;
    for chunk in content.chunks(1 << 20) {
        upload.write(Bytes::copy_from_slice(chunk)).await?;
    }
    upload.finish().await
}

/// Waits for what happens in the background; the test's own time limit is the only one.
async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transient_answers_are_tried_again() {
    let rig = S3Rig::start().await;
    let store = rig.store();
    rig.fail("PUT", Fault::Answer(503, refusal("SlowDown")), 1);
    rig.fail("PUT", Fault::Refuse, 1);
    rig.fail("PUT", Fault::LoseAnswer, 1);
    store.put("a", pattern(1000)).await.unwrap();
    assert_eq!(rig.seen("PUT").len(), 4);
    rig.fail("GET", Fault::Answer(500, refusal("InternalError")), 2);
    assert!(store.get("a").await.unwrap() == pattern(1000));
    rig.fail("HEAD", Fault::Answer(502, String::new()), 1);
    assert!(store.head("a").await.unwrap().is_some());
    rig.fail("list-type=2", Fault::Answer(429, String::new()), 1);
    assert_eq!(store.list("").await.unwrap().len(), 1);
    rig.fail("DELETE", Fault::Answer(409, refusal("OperationAborted")), 1);
    store.delete(&["a".to_owned()]).await.unwrap();
    rig.fail("POST", Fault::LoseAnswer, 1);
    store.delete(&["a".to_owned(), "b".to_owned()]).await.unwrap();
    assert!(store.list("").await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn gives_up_and_says_how_often_it_tried() {
    let rig = S3Rig::start().await;
    rig.fail("GET", Fault::Answer(500, refusal("InternalError")), usize::MAX);
    let error = rig.store().get("a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    let text = error.to_string();
    assert!(text.contains("s3://bucket/folder/of/tests/a") && text.contains("gave up after 5 attempts"), "{text}");
    assert!(text.contains("InternalError"), "{text}");
    assert_eq!(rig.seen("GET").len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_transient() {
    let mut settings = S3Rig::start().await.settings();
    settings.endpoint = Some("http://127.0.0.1:1".to_owned());
    let error = open(settings).list("").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn permanent_failures_are_not_tried_again_and_say_what_to_check() {
    let rig = S3Rig::start().await;
    let mut settings = rig.settings();
    settings.credentials =
        Some(S3Credentials { key_id: "AKTEST".into(), secret_key: Secret::new("wrong-secret"), session_token: None });
    assert!(!format!("{settings:?}").contains("wrong-secret"));
    let error = open(settings.clone()).put("a", Bytes::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    let text = error.to_string();
    assert!(text.contains("AWS_SECRET_ACCESS_KEY") && !text.contains("wrong-secret"), "{text}");
    assert_eq!(rig.seen("PUT").len(), 1);
    let error = open(settings).list("").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");

    let mut settings = rig.settings();
    settings.bucket = "no-such-bucket".to_owned();
    let error = open(settings).list("").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("WALG_S3_PREFIX"), "{error}");
    assert_eq!(rig.seen("no-such-bucket").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_download_goes_on_where_it_broke() {
    let rig = S3Rig::start().await;
    let store = rig.store();
    let content = pattern(3 << 20);
    store.put("a", content.clone()).await.unwrap();
    rig.fail("GET", Fault::Cut(1_500_000), 1);
    rig.fail("GET", Fault::Refuse, 2);
    rig.fail("GET", Fault::Cut(100_000), 1);
    rig.fail("GET", Fault::Answer(503, refusal("SlowDown")), 1);
    assert!(store.get("a").await.unwrap() == content);
    let requests = rig.seen("GET");
    assert_eq!(requests.len(), 6);
    let range = requests[5].to_ascii_lowercase();
    assert!(range.contains("range: bytes=1") && range.contains("if-match:"), "{range}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_versions_of_an_object_are_never_mixed() {
    let rig = S3Rig::start().await;
    let store = rig.store();
    store.put("a", pattern(4 << 20)).await.unwrap();
    rig.fail("GET", Fault::Cut(2_500_000), 1);
    let mut reader = store.read("a").await.unwrap();
    reader.next().await.unwrap().unwrap();
    store.put("a", Bytes::from(vec![7; 4 << 20])).await.unwrap();
    let error = loop {
        match reader.next().await {
            Ok(chunk) => assert!(chunk.is_some(), "the end was reached"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_multipart_upload_survives_lost_requests_and_answers() {
    let rig = S3Rig::start().await;
    let store = rig.store();
    let content = pattern(3 * PART_BYTES + 17);
    rig.fail("?uploads", Fault::Answer(503, refusal("SlowDown")), 1);
    rig.fail("partNumber=2", Fault::Refuse, 1);
    rig.fail("partNumber=3", Fault::LoseAnswer, 1);
    rig.fail("POST", Fault::Refuse, 1);
    assert_eq!(upload(&store, "a", &content).await.unwrap(), content.len() as u64);
    assert!(store.get("a").await.unwrap() == content);
    assert_eq!(rig.seen("partNumber=").len(), 6, "four parts, two of them twice");
    assert_eq!(rig.unfinished(), Vec::<String>::new());
}

/// The first attempt worked and only its answer was lost: the second one is told that there is no such upload.
#[tokio::test(flavor = "multi_thread")]
async fn a_completion_whose_answer_was_lost_is_recognized() {
    let rig = S3Rig::start().await;
    let content = pattern(PART_BYTES + 1);
    rig.fail("POST /bucket/folder/of/tests/a?uploadId", Fault::LoseAnswer, 1);
    rig.fail("POST /bucket/folder/of/tests/a?uploadId", Fault::Answer(404, refusal("NoSuchUpload")), 1);
    let store = rig.store();
    assert_eq!(upload(&store, "a", &content).await.unwrap(), content.len() as u64);
    rig.fail("POST /bucket/folder/of/tests/b?uploadId", Fault::Answer(404, refusal("NoSuchUpload")), 1);
    let error = upload(&store, "b", &content).await.unwrap_err();
    assert!(error.to_string().contains("NoSuchUpload"), "{error}");
    assert_eq!(store.head("b").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_upload_leaves_nothing_behind() {
    let rig = S3Rig::start().await;
    let store = rig.store();
    let content = pattern(4 * PART_BYTES);
    rig.fail("partNumber=2", Fault::Answer(403, refusal("AccessDenied")), 1);
    let error = upload(&store, "a", &content).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    rig.fail("POST /bucket/folder/of/tests/b?uploadId", Fault::Answer(200, refusal("InternalError")), usize::MAX);
    let error = upload(&store, "b", &content).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
    assert_eq!(rig.seen("DELETE").len(), 2);
    assert_eq!(rig.unfinished(), Vec::<String>::new());
    assert!(store.list("").await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_upload_is_aborted_in_the_background() {
    let rig = S3Rig::start().await;
    let store = rig.store();
    let mut upload = store.upload("a", None).await.unwrap();
    upload.write(pattern(2 * PART_BYTES + 1)).await.unwrap();
    drop(upload);
    until(|| rig.seen("DELETE").len() == 1 && rig.unfinished().is_empty()).await;
    assert!(store.list("").await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_inside_of_a_success_are_seen() {
    let rig = S3Rig::start().await;
    let answer = "<DeleteResult><Deleted><Key>a</Key></Deleted>\
        <Error><Key>b</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>";
    rig.fail("POST", Fault::Answer(200, answer.to_owned()), 1);
    let error = rig.store().delete(&["a".to_owned(), "b".to_owned()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains("(b)"), "{error}");
}

fn page(keys: &[&str], next: &str) -> String {
    let contents: String =
        keys.iter().map(|key| format!("<Contents><Key>folder/of/tests/{key}</Key><Size>1</Size></Contents>")).collect();
    let truncated = !next.is_empty();
    format!(
        "<R><IsTruncated>{truncated}</IsTruncated><NextContinuationToken>{next}</NextContinuationToken>{contents}</R>"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_of_many_pages() {
    let rig = S3Rig::start().await;
    rig.fail("list-type=2", Fault::Answer(200, page(&["b", "a//x", "c"], "to/ken+1")), 1);
    rig.fail("list-type=2", Fault::Answer(200, page(&["a"], "")), 1);
    let keys: Vec<String> = rig.store().list("").await.unwrap().into_iter().map(|object| object.key).collect();
    assert_eq!(keys, ["a", "b", "c"]);
    assert_eq!(rig.seen("continuation-token=to%2Fken%2B1").len(), 1);
    rig.fail("list-type=2", Fault::Answer(200, page(&["b"], "same")), 2);
    assert_eq!(rig.store().list("").await.unwrap_err().kind(), ErrorKind::Corrupt);

    let mut settings = rig.settings();
    settings.list_objects_v1 = true;
    let store = open(settings);
    rig.fail("GET /bucket/?prefix", Fault::Answer(200, page(&["a", "b"], "").replace("false", "true")), 1);
    rig.fail("marker=folder%2Fof%2Ftests%2Fb", Fault::Answer(200, page(&["c"], "")), 1);
    assert_eq!(store.list("").await.unwrap().len(), 3);
    store.put("real", Bytes::new()).await.unwrap();
    assert_eq!(store.list("").await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_uploads_are_found_and_aborted() {
    let rig = S3Rig::start().await;
    let store = rig.store();
    let element = |key: &str, id: &str, time: &str| {
        let key = format!("<Key>folder/of/tests/{key}</Key>");
        format!("<Upload>{key}<UploadId>{id}</UploadId><Initiated>{time}</Initiated></Upload>")
    };
    let recent = (Utc::now() - Duration::minutes(1)).to_rfc3339();
    let first = format!(
        "<R><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker><NextUploadIdMarker>u</NextUploadIdMarker>{}</R>",
        element("old", "1", "2024-01-02T03:04:05Z")
    );
    rig.fail("GET /bucket/?uploads", Fault::Answer(200, first), 1);
    let second = format!("<R><IsTruncated>false</IsTruncated>{}</R>", element("new", "2", &recent));
    rig.fail("key-marker=k&upload-id-marker=u", Fault::Answer(200, second), 1);
    rig.fail("DELETE /bucket/folder/of/tests/old?uploadId=1", Fault::Answer(404, refusal("NoSuchUpload")), 1);
    let aborted = store.abort_stale_uploads("", Utc::now() - Duration::hours(1)).await.unwrap();
    assert_eq!(aborted.iter().map(|upload| upload.key.as_str()).collect::<Vec<_>>(), ["old"]);
    assert_eq!(rig.seen("DELETE").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_written_as_the_settings_say() {
    let rig = S3Rig::start().await;
    let mut settings = rig.settings();
    settings.storage_class = Some("STANDARD".to_owned());
    settings.encryption = Some(ServerSideEncryption::Aes256);
    settings.headers = vec![("x-amz-meta-owner".to_owned(), Secret::new("dba"))];
    let store = open(settings);
    store.put("small", pattern(1)).await.unwrap();
    upload(&store, "large", &pattern(PART_BYTES + 1)).await.unwrap();
    for pattern in ["PUT /bucket/folder/of/tests/small", "POST /bucket/folder/of/tests/large?uploads"] {
        let head = rig.seen(pattern)[0].to_ascii_lowercase();
        assert!(head.contains("x-amz-storage-class: standard"), "{head}");
        assert!(head.contains("x-amz-server-side-encryption: aes256"), "{head}");
        assert!(head.contains("x-amz-meta-owner: dba"), "{head}");
    }
    assert!(rig.seen("GET").is_empty() && rig.seen("HEAD").is_empty());
}

#[test]
fn an_upload_without_a_runtime_is_refused() {
    let store = open(rig_free_settings());
    assert!(!store.is_local());
    assert!(futures::executor::block_on(store.upload("a", None)).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_of_the_shared_credentials_file_signs_requests() {
    let rig = S3Rig::start().await;
    let file = rig.directory.path().join("credentials");
    std::fs::write(&file, "[backup]\naws_access_key_id = AKTEST\naws_secret_access_key = SKTEST\n").unwrap();
    let endpoint = rig.settings().endpoint.unwrap();
    let open = |profile: &str| {
        let (file, profile) = (file.display().to_string(), profile.to_owned());
        let settings = StorageSettings::from_lookup(&|name| match name {
            "WALG_S3_PREFIX" => Some("s3://bucket/x".to_owned()),
            "AWS_ENDPOINT" => Some(endpoint.clone()),
            "AWS_SHARED_CREDENTIALS_FILE" => Some(file.clone()),
            "AWS_PROFILE" => Some(profile.clone()),
            _ => None,
        });
        Store::open(&settings.unwrap())
    };
    let store = open("backup").unwrap();
    assert_eq!(store.describe(), "s3://bucket/x");
    store.put("a", Bytes::from_static(b"1")).await.unwrap();
    assert_eq!(store.get("a").await.unwrap(), "1");
    let error = open("other").unwrap_err();
    assert!(error.to_string().contains("AWS_PROFILE"), "{error}");
}

#[test]
fn a_ca_file_must_hold_certificates() {
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("ca.pem");
    for content in [None, Some("no certificate")] {
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let settings = {
            let mut settings = rig_free_settings();
            settings.ca_cert_file = Some(path.clone());
            settings
        };
        let error = Store::open(&StorageSettings::S3(settings)).unwrap_err();
        assert!(error.to_string().contains("S3_CA_CERT_FILE"), "{error}");
    }
}

fn rig_free_settings() -> S3Settings {
    let mut settings = S3Settings::new("bucket", "");
    settings.endpoint = Some("http://127.0.0.1:1".to_owned());
    settings.credentials =
        Some(S3Credentials { key_id: "a".into(), secret_key: Secret::new("b"), session_token: None });
    settings
}
