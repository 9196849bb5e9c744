//! Proofs of backups, checks of archiving, and what is told to people and monitoring, on a running cluster.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use rig::{Stand, StandSpec, Storage, sql, wait_for};
use serde_json::{Value, json};

use crate::stands;

const SOON: Duration = Duration::from_secs(60);

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The only object of the store whose path holds all of `parts`.
fn object(stand: &Stand, parts: &[&str]) -> PathBuf {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { walk(&entry, found) } else { found.push(entry) }
        }
    }
    let mut found = Vec::new();
    walk(&stand.store_dir(), &mut found);
    found.retain(|path| parts.iter().all(|part| path.to_str().unwrap().contains(part)));
    found.sort();
    found.into_iter().next().unwrap_or_else(|| panic!("no object with {parts:?}"))
}

fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

/// Whole backups are proved on the hosts and on this one; damage is told with what it costs, and remembered.
#[test]
fn op_023_backups_are_verified_and_the_result_is_remembered() {
    let stand = stands::small("verify", &StandSpec::default());
    stand.damson(&["backup-push"]).ok();
    let first = stands::latest(&stand);
    stand.damson(&["create-restore-point", "between"]).ok();
    stand.damson(&["backup-push"]).ok();
    let second = stands::latest(&stand);
    let plain = stand.damson(&["backup-list", "--detail"]).ok().stdout;
    assert!(!plain.contains("proved"), "{plain}");

    let proofs = json(&stand.damson(&["backup-verify", "--all", "--json"]).ok().stdout);
    let names: Vec<_> = proofs.as_array().unwrap().iter().map(|proof| proof["backup"].as_str().unwrap()).collect();
    assert_eq!(names, [first.as_str(), second.as_str()]);
    for proof in proofs.as_array().unwrap() {
        assert_eq!(proof["ok"], json!(true), "{proof}");
        assert!(proof["objects"].as_u64().unwrap() > 20 && proof["bytes"].as_u64().unwrap() > 0, "{proof}");
    }
    let listed = stands::backups(&stand, &["--detail"]);
    assert_eq!((&listed[0]["last_proof"]["kind"], &listed[0]["last_proof"]["ok"]), (&json!("verify"), &json!(true)));

    // One page of one table of one segment, below a codec without a checksum of its own: the hashes tell.
    flip(&object(&stand, &["seg0", &segment_backup(&stand, &first, 0), "part_001"]));
    let output = stand.damson(&["backup-verify", "LATEST"]).ok();
    assert!(output.stdout.contains(" ok "), "{}", output.report());
    let output = stand.damson(&["backup-verify", &first, "--local"]).fails(1, &["1 of 1 backups are damaged", &first]);
    assert!(output.stdout.contains("part_001") && output.stdout.contains("DAMAGED"), "{}", output.report());
    let listed = stands::backups(&stand, &["--detail"]);
    assert_eq!((&listed[0]["last_proof"]["ok"], &listed[1]["last_proof"]["ok"]), (&json!(false), &json!(true)));
    let output = stand.damson(&["backup-verify", &first, "--json"]).fails(1, &[]);
    let proof = &json(&output.stdout)[0];
    assert_eq!(proof["affected_backups"], json!([first]));
    assert_eq!(proof["affected_restore_points"], json!([first, "between"]));
    let object = proof["findings"][0]["object"].as_str().unwrap();
    assert!(object.starts_with("segments_005/seg0/basebackups_005/"), "{object}");
}

/// Name of the segment's backup that belongs to a backup of the cluster.
fn segment_backup(stand: &Stand, backup: &str, content: i64) -> String {
    let path = stand.store_dir().join(format!("basebackups_005/{backup}_backup_stop_sentinel.json"));
    let sentinel = json(&std::fs::read_to_string(path).unwrap());
    let segments = sentinel["segments"].as_array().unwrap();
    let segment = segments.iter().find(|segment| segment["content_id"] == json!(content)).unwrap();
    segment["backup_name"].as_str().unwrap().to_string()
}

/// A lost log file is told, and so is a lost document of the cluster; a segment by itself can be verified too.
#[test]
fn holes_in_the_log_and_lost_documents_are_found() {
    let stand = stands::small("verify-log", &StandSpec::default());
    stand.damson(&["backup-push"]).ok();
    let backup = stands::latest(&stand);
    let segment = segment_backup(&stand, &backup, 0);
    stand.damson(&["seg", "backup-verify", &segment, "--content-id=0"]).ok();
    stand.damson(&["seg", "backup-verify", "LATEST", "--content-id=-1"]).ok();

    let start = &segment["base_".len().."base_".len() + 24];
    let log = object(&stand, &["seg0", "wal_005", &format!("{start}.lz4")]);
    let content = std::fs::read(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    let output = stand.damson(&["backup-verify", "LATEST"]).fails(1, &["damaged"]);
    assert!(output.stdout.contains(&format!("seg0/wal_005/{start}: it is missing")), "{}", output.report());
    stand.damson(&["seg", "backup-verify", "LATEST", "--content-id=0"]).fails(1, &["damaged"]);
    std::fs::write(&log, content).unwrap();

    let point = object(&stand, &[&format!("{backup}_restore_point.json")]);
    std::fs::remove_file(point).unwrap();
    let output = stand.damson(&["backup-verify", "LATEST"]).fails(1, &["damaged"]);
    assert!(output.stdout.contains("_restore_point.json"), "{}", output.report());
}

/// A line for everything; a server whose archiving fails is named, and the others are still told.
#[test]
fn cmp_008_check_tries_archiving_end_to_end() {
    let mut stand = stands::start("check", &StandSpec::default());
    let output = stand.damson(&["check"]).ok();
    assert!(output.stdout.lines().all(|line| line.starts_with("ok ")), "{}", output.report());
    for check in ["storage", "cluster", "agent", "clock", "segment", "wal"] {
        assert!(output.stdout.lines().any(|line| line.contains(&format!("  {check} "))), "{}", output.report());
    }
    let lines = json(&stand.damson(&["check", "--json"]).ok().stdout);
    let arrived = lines.as_array().unwrap().iter().filter(|line| line["check"] == json!("wal")).count();
    assert_eq!(arrived, stand.cluster.servers.len());

    let broken = stand.cluster.server(1);
    sql(broken, "alter system set archive_command = 'false'");
    sql(broken, "select pg_reload_conf()");
    wait_for("the new archive_command", SOON, || sql(broken, "show archive_command") == "false");
    sql(broken, "select pg_logical_emit_message(true, 'rig', 'something to archive')");
    stand.set("DAMSON_ARCHIVE_TIMEOUT", "2s");
    let output = stand.damson(&["check"]).fails(1, &["1 of"]);
    let failed: Vec<_> = output.stdout.lines().filter(|line| line.starts_with("FAILED")).collect();
    assert_eq!(failed.len(), 1, "{}", output.report());
    assert!(failed[0].contains("wal") && failed[0].contains("content 1"), "{}", output.report());
    assert!(output.stdout.contains("archive_command"), "{}", output.report());
}

/// A push that is held back is seen from another terminal, also once its coordinator is dead; then what became of it.
#[test]
fn status_is_read_from_the_journals() {
    let settings = vec![("DAMSON_LEASE".to_string(), "5s".to_string())];
    let stand = stands::start("status", &StandSpec { storage: Storage::S3, settings, ..StandSpec::default() });
    let output = stand.damson(&["status"]).ok();
    assert_eq!(output.stdout.matches("nothing runs").count(), 2, "{}", output.report());
    let s3 = stand.s3.as_ref().unwrap();
    s3.hold(&["PUT */tar_partitions/part_"]);
    let mut push = stand.product.spawn_damson(&["backup-push"]);
    push.wait_until("a part is held", SOON, |_| !s3.held().is_empty());
    let jobs = |status: &str| -> Vec<Value> {
        let hosts = json(status);
        let all = hosts.as_array().unwrap().iter().flat_map(|host| host["jobs"].as_array().unwrap().clone());
        all.filter(|job| job["work"] == json!("push")).collect()
    };
    push.signal(Signal::SIGKILL);
    push.wait(SOON);
    let running = jobs(&stand.damson(&["status", "--json"]).ok().stdout);
    assert_eq!(running.len(), 2, "{running:?}");
    assert!(running.iter().all(|job| job["segments"][0]["phase"].is_string()), "{running:?}");
    let names: Vec<_> = stand.hosts.list.iter().map(|host| host.address.to_string()).collect();
    let text = stand.damson(&["status", "--hosts", &names[1]]).ok().stdout;
    assert!(text.contains(&format!("host {}: push (", names[1])), "{text}");
    s3.release();
    wait_for("the end of the jobs", SOON, || {
        let told = jobs(&stand.damson(&["status", "--json"]).ok().stdout);
        told.iter().all(|job| job["state"] != json!("running"))
    });
}

/// The same numbers in a file and over HTTP, with the cluster and without.
#[test]
fn op_036_metrics_in_a_file_and_over_http() {
    let mut stand = stands::small("metrics", &StandSpec::default());
    stand.damson(&["backup-push"]).ok();
    stand.damson(&["backup-verify", "LATEST"]).ok();
    let file = stand.scratch.dir("textfiles").join("damson.prom");
    stand.damson(&["metrics", "--output", file.to_str().unwrap()]).ok();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    for sample in [
        "damson_up 1",
        "damson_backups{kind=\"full\"} 1",
        "damson_last_proved_backup_age_seconds ",
        "damson_archive_missing_files{content=\"-1\"} 0",
        "damson_archive_lag_bytes{content=\"0\"} ",
    ] {
        assert!(text.lines().any(|line| line.starts_with(sample)), "{sample} in {text}");
    }
    let mut server = stand.product.spawn_damson(&["metrics", "--listen", "127.0.0.1:0"]);
    server.wait_for_stderr("serving http://", SOON);
    let log = server.stderr();
    let address = log.split("serving http://").nth(1).unwrap().split("/metrics").next().unwrap().to_string();
    assert!(get(&address, "/metrics").contains("HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text"));
    assert!(get(&address, "/").starts_with("HTTP/1.1 404 "));
    stand.cluster.stop_all();
    let text = get(&address, "/metrics");
    assert!(text.contains("damson_up 0\n") && !text.contains("damson_archive_lag_bytes{"), "{text}");
    assert!(text.contains("damson_archive_files{content=\"0\"}") && text.ends_with("# EOF\n"), "{text}");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait(SOON).status, Some(0));
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
