//! What a backup of the cluster is based on.

use rig::{Output, Stand, StandSpec, sql};
use serde_json::{Value, json};

use super::levels::read;
use crate::stands;

fn stand(name: &str, settings: &[(&str, &str)]) -> Stand {
    let settings = settings.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    stands::small(name, &StandSpec { settings, ..StandSpec::default() })
}

/// Pushes, and returns the new backup's name. Something changes before.
fn push(stand: &Stand, args: &[&str]) -> String {
    for server in &stand.cluster.servers {
        sql(server, "create table if not exists t(a int); insert into t select generate_series(1, 100)");
    }
    stand.damson(&[&["backup-push"], args].concat()).ok();
    stands::latest(stand)
}

fn refuse(stand: &Stand, args: &[&str]) -> Output {
    stand.damson(&[&["backup-push"], args].concat())
}

fn sentinel(stand: &Stand, name: &str) -> Value {
    read(&stand.store_dir().join(format!("basebackups_005/{name}_backup_stop_sentinel.json")))
}

/// `increment_from`, `increment_full_name` and `increment_count` of a backup.
fn lineage(stand: &Stand, name: &str) -> [Value; 3] {
    ["increment_from", "increment_full_name", "increment_count"].map(|key| sentinel(stand, name)[key].clone())
}

fn delta(from: &str, full: &str, count: u32) -> [Value; 3] {
    [json!(from), json!(full), json!(count)]
}

/// The name, sentinel and metadata.json of a segment's part of a backup.
fn segment(stand: &Stand, backup: &str, content: i32) -> (String, Value, Value) {
    let whole = sentinel(stand, backup);
    let segment = whole["segments"].as_array().unwrap().iter().find(|row| row["content_id"] == content).unwrap();
    let name = segment["backup_name"].as_str().unwrap().to_string();
    let folder = stand.store_dir().join(format!("segments_005/seg{content}/basebackups_005"));
    let own = read(&folder.join(format!("{name}_backup_stop_sentinel.json")));
    let metadata = read(&folder.join(&name).join("metadata.json"));
    (name, own, metadata)
}

/// Without the setting every backup is full. With it there are that many deltas, each over the newest backup and named after
/// it, and then a full backup.
#[test]
fn gp_012_gp_017_as_many_deltas_as_allowed_each_over_the_newest_backup() {
    let mut stand = stand("delta-steps", &[]);
    let first = push(&stand, &[]);
    let full = push(&stand, &[]);
    assert!(!first.contains("_D_") && !full.contains("_D_"), "{first} {full}");
    stand.set("WALG_DELTA_MAX_STEPS", "2");
    let one = push(&stand, &[]);
    let two = push(&stand, &[]);
    let next = push(&stand, &[]);
    let stamp = |name: &str| name["backup_".len()..].split("_D_").next().unwrap().to_string();
    assert_eq!(one, format!("backup_{}_D_{}", stamp(&one), stamp(&full)));
    assert_eq!(two, format!("backup_{}_D_{}", stamp(&two), stamp(&one)));
    assert_eq!(lineage(&stand, &full), [Value::Null, Value::Null, Value::Null]);
    assert_eq!(lineage(&stand, &one), delta(&full, &full, 1));
    assert_eq!(lineage(&stand, &two), delta(&one, &full, 2));
    assert!(!next.contains("_D_") && lineage(&stand, &next)[0].is_null(), "{next}");
    assert!(!push(&stand, &["--full"]).contains("_D_"));

    for content in stand.cluster.contents() {
        let ((root, root_sentinel, _), (base, base_sentinel, _)) =
            (segment(&stand, &full, content), segment(&stand, &one, content));
        let (name, own, _) = segment(&stand, &two, content);
        let wal = |name: &str| name["base_".len()..][..24].to_string();
        assert_eq!(base, format!("base_{}_D_{}", wal(&base), wal(&root)));
        assert_eq!(name, format!("base_{}_D_{}", wal(&name), wal(&base)));
        assert_eq!((&own["DeltaFrom"], &own["DeltaFullName"]), (&json!(base), &json!(root)));
        assert_eq!((&own["DeltaLSN"], &own["DeltaCount"]), (&base_sentinel["LSN"], &json!(2)));
        assert!(own["UncompressedSize"].as_i64().unwrap() < root_sentinel["UncompressedSize"].as_i64().unwrap() / 4);
        assert_eq!(root_sentinel.get("DeltaFrom"), None);
    }
}

/// A base can be named, or found by its user data; what names none, several, or is given in both ways is refused.
#[test]
fn gp_018_gp_019_gp_020_a_chosen_base() {
    let mut stand = stand("delta-from", &[("WALG_DELTA_MAX_STEPS", "7")]);
    let older = push(&stand, &["--add-user-data", r#"{"n": 1}"#]);
    let newer = push(&stand, &["--full", "--add-user-data", r#"{"n": [2]}"#]);
    let named = push(&stand, &["--delta-from-name", &older]);
    assert_eq!(lineage(&stand, &named), delta(&older, &older, 1));
    let (base, own) = (segment(&stand, &older, 0).0, segment(&stand, &named, 0).1);
    assert_eq!(own["DeltaFrom"], json!(base));
    let latest = push(&stand, &["--delta-from-name", "LATEST"]);
    assert_eq!(lineage(&stand, &latest), delta(&named, &older, 2));
    let by_data = push(&stand, &["--delta-from-user-data", r#"{"n":[2]}"#, "--add-user-data", r#"{"n": 1}"#]);
    assert_eq!(lineage(&stand, &by_data), delta(&newer, &newer, 1));

    let count = stands::backups(&stand, &[]).len();
    refuse(&stand, &["--delta-from-name", "backup_20010101T000000Z"])
        .fails(1, &["backup_20010101T000000Z", "does not exist"]);
    refuse(&stand, &["--delta-from-user-data", r#"{"n": 3}"#]).fails(1, &["No backups found"]);
    refuse(&stand, &["--delta-from-user-data", r#"{"n": 1}"#]).fails(1, &["too many backups", &older, &by_data]);
    refuse(&stand, &["--delta-from-user-data", "{"]).fails(1, &["not JSON"]);
    refuse(&stand, &["--delta-from-name", &older, "--delta-from-user-data", r#"{"n": 1}"#]).fails(1, &["not both"]);

    // In the settings they are the coordinator's alone: segments have other names.
    stand.set("WALG_DELTA_FROM_NAME", &older);
    assert_eq!(lineage(&stand, &push(&stand, &[])), delta(&older, &older, 1));
    stand.set("WALG_DELTA_FROM_USER_DATA", r#"{"n": [2]}"#);
    refuse(&stand, &[]).fails(1, &["not both"]);
    stand.set("WALG_DELTA_FROM_NAME", "");
    assert_eq!(lineage(&stand, &push(&stand, &[])), delta(&newer, &newer, 1));
    stand.set("WALG_WITHOUT_FILES_METADATA", "true");
    refuse(&stand, &[]).fails(1, &["WALG_WITHOUT_FILES_METADATA"]);
    assert_eq!(stands::backups(&stand, &[]).len(), count + 2);
}

/// WALG_DELTA_ORIGIN=LATEST_FULL works over a permanent full backup too, and counts on. A permanent delta makes permanent what
/// it is based on, in the cluster's sentinels and in the segments' metadata.
#[test]
fn gp_012_origin_and_permanence() {
    let origin = [("WALG_DELTA_MAX_STEPS", "3"), ("WALG_DELTA_ORIGIN", "LATEST_FULL")];
    let mut stand = stand("delta-origin", &origin);
    let permanent = push(&stand, &["--permanent"]);
    let one = push(&stand, &[]);
    let two = push(&stand, &[]);
    assert_eq!(lineage(&stand, &one), delta(&permanent, &permanent, 1));
    assert_eq!(lineage(&stand, &two), delta(&permanent, &permanent, 2));
    assert_eq!(sentinel(&stand, &two)["is_permanent"], json!(false));
    stand.set("WALG_DELTA_ORIGIN", "OLDEST");
    refuse(&stand, &[]).fails(1, &["WALG_DELTA_ORIGIN", "LATEST_FULL"]);

    stand.set("WALG_DELTA_ORIGIN", "LATEST");
    assert!(!push(&stand, &["--delta-from-name", &permanent]).contains("_D_"), "no delta over a permanent backup");
    let chain = [push(&stand, &["--full"]), push(&stand, &[]), push(&stand, &["--permanent"])];
    assert_eq!(lineage(&stand, &chain[2]), delta(&chain[1], &chain[0], 2));
    for backup in &chain {
        assert_eq!(sentinel(&stand, backup)["is_permanent"], json!(true), "{backup}");
        for content in stand.cluster.contents() {
            assert_eq!(segment(&stand, backup, content).2["is_permanent"], json!(true), "{backup}");
        }
    }
    assert_eq!(sentinel(&stand, &two)["is_permanent"], json!(false));
}
