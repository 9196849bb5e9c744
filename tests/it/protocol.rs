//! The agent protocol on real servers over real SSH: what is cut, stopped or refused, and what is left afterwards. What is killed
//! stands in `kills` and `again`.
//!
//! The middle of a push is a request that the rig's S3 server holds back, so that nothing here depends on speed.

mod hosts;
mod keys;
mod lost;
mod secrets;
mod stopped;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::Pid;
use rig::{Host, Output, Running, S3, Stand, StandSpec, Storage, sql, wait_for};
use serde_json::Value;

/// For what takes moments on an idle machine.
const SOON: Duration = Duration::from_secs(60);

/// The requests that store archive parts.
const COPYING: &str = "PUT */tar_partitions/part_";

/// The requests that store the second piece of an archive part of a stand that [`uploads_in_pieces`].
const UPLOADING: &str = "PUT */tar_partitions/part_*partNumber=2";

/// A coordinator and a primary on the first host, two primaries on the second; agents installed.
fn stand(name: &str, lease: &str) -> Stand {
    let settings = vec![("DAMSON_LEASE".to_string(), lease.to_string())];
    let stand = Stand::start(name, &StandSpec { storage: Storage::S3, settings, ..StandSpec::default() });
    stand.damson(&["hosts", "install"]).ok();
    stand
}

/// From now on an archive part is a multipart upload of several pieces.
fn uploads_in_pieces(stand: &mut Stand) {
    stand.set("WALG_COMPRESSION_METHOD", "none");
    stand.set("S3_MAX_PART_SIZE", "5242880");
}

fn s3(stand: &Stand) -> &S3 {
    stand.s3.as_ref().expect("the stand stores in S3")
}

/// Starts `backup-push` and waits until a request with this text is held back.
fn push_held_at(stand: &Stand, text: &str) -> Running {
    let before = s3(stand).held().len();
    s3(stand).hold(&[text]);
    let mut push = stand.product.spawn_damson(&["backup-push"]);
    push.wait_until(&format!("{text} is held"), SOON, |_| s3(stand).held().len() > before);
    push
}

/// [`push_held_at`] with [`COPYING`] or [`UPLOADING`], where every segment is copying, and its server in backup mode.
fn push_held_while(stand: &Stand, copying: &str) -> Running {
    let mut push = push_held_at(stand, copying);
    let segments = stand.cluster.servers.len();
    push.wait_until("all are copying", SOON, |log| log.matches(" copying ").count() == segments);
    push
}

/// What stands in the storage besides archived log and leases, which a killed command leaves until they expire.
fn stored(stand: &Stand) -> BTreeSet<String> {
    let root = stand.store_dir();
    let mut names = BTreeSet::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        // A folder may vanish with its last object.
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() && !path.ends_with("wal_005") && !path.ends_with("leases") => folders.push(path),
                path if path.is_file() => drop(names.insert(name_below(&root, &path))),
                _ => {}
            }
        }
    }
    names
}

fn name_below(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap().to_str().unwrap().to_string()
}

/// Names of the stored cluster sentinels.
fn cluster_sentinels(stand: &Stand) -> Vec<String> {
    let sentinel = |name: &String| name.starts_with("basebackups_005/") && name.ends_with("_backup_stop_sentinel.json");
    stored(stand).into_iter().filter(sentinel).collect()
}

/// Waits until no process of the product is left on any host, and no session of one on any server.
fn assert_nothing_runs(stand: &Stand) {
    for host in &stand.hosts.list {
        let gone = || host.product_processes().is_empty();
        wait_for(&format!("end of every process on {}", host.address), SOON, gone);
    }
    let sessions =
        "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()";
    for server in &stand.cluster.servers {
        wait_for(&format!("end of every session on content {}", server.content), SOON, || sql(server, sessions) == "0");
    }
}

/// Nothing runs, nothing more is stored than before, no upload is unfinished.
fn assert_nothing_left(stand: &Stand, before: &BTreeSet<String>) {
    assert_nothing_runs(stand);
    let left: Vec<String> = stored(stand).difference(before).cloned().collect();
    assert!(left.is_empty(), "left behind in the storage: {left:?}");
    assert_eq!(s3(stand).unfinished_uploads(), Vec::<String>::new());
}

/// Every server was told to leave backup mode: none had to find out by the end of a session.
fn assert_backup_mode_left_in_order(stand: &Stand) {
    for server in &stand.cluster.servers {
        assert!(
            !server.log_text().contains("aborting backup due to"),
            "content {}: {}",
            server.content,
            server.log_text()
        );
    }
}

/// A push that succeeds, stores a sentinel and leaves no process behind.
fn assert_push_succeeds(stand: &Stand) {
    let before = cluster_sentinels(stand).len();
    stand.damson(&["backup-push"]).ok();
    assert_eq!(cluster_sentinels(stand).len(), before + 1);
    assert_nothing_runs(stand);
}

/// A job of a host, as its directory tells.
struct Job {
    dir: PathBuf,
    /// The start request.
    order: Value,
}

/// Jobs of a host whose work is of this kind (`check`, `push`, ...), the oldest first.
fn jobs(host: &Host, work: &str) -> Vec<Job> {
    let mut found = Vec::new();
    // A host that never got a job has no such folder.
    for entry in std::fs::read_dir(host.state_dir.join("jobs")).into_iter().flatten().flatten() {
        let Ok(text) = std::fs::read_to_string(entry.path().join("spec.json")) else { continue };
        let order: Value = serde_json::from_str(&text).unwrap();
        let asked = &order["start"]["spec"]["work"];
        if asked == work || asked.get(work).is_some() {
            let made = std::fs::metadata(entry.path().join("spec.json")).unwrap().modified().unwrap();
            found.push((made, Job { dir: entry.path(), order }));
        }
    }
    found.sort_by_key(|(made, _)| *made);
    found.into_iter().map(|(_, job)| job).collect()
}

fn last_push(host: &Host) -> Job {
    jobs(host, "push").pop().expect("no push was started")
}

impl Job {
    /// The events so far; each line must be whole and numbered without a gap.
    fn events(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.dir.join("journal.jsonl")).unwrap();
        let entries = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        entries
            .enumerate()
            .map(|(number, mut entry)| {
                assert_eq!(entry["number"], number);
                entry["event"].take()
            })
            .collect()
    }

    fn pid(&self) -> Pid {
        let started = self.events()[0]["started"]["pid"].as_i64().unwrap();
        Pid::from_raw(i32::try_from(started).unwrap())
    }

    fn contents(&self) -> Vec<i64> {
        let segments = self.order["start"]["spec"]["segments"].as_array().unwrap();
        segments.iter().map(|segment| segment["content"].as_i64().unwrap()).collect()
    }

    /// `done`, `failed` or `cancelled` with what it holds.
    fn outcome(&self) -> Value {
        let events = self.events();
        events.last().unwrap()["finished"]["outcome"].clone()
    }
}
