//! Deltas of a single server.

use rig::{Output, Stand, StandSpec, sql};
use serde_json::{Value, json};

use super::levels::read;
use crate::stands;

fn run(stand: &Stand, args: &[&str]) -> Output {
    let (config, data_dir) = (stand.product.config.to_str().unwrap(), &stand.cluster.coordinator().data_dir);
    let all = [&["--config", config, "backup-push", data_dir.to_str().unwrap()], args].concat();
    stand.product.run(stand.product.command("damson-pg", &all))
}

/// Pushes, and returns the new backup's name. Something changes before.
fn push(stand: &Stand, args: &[&str]) -> String {
    let server = stand.cluster.coordinator();
    sql(server, "create table if not exists t(a int); insert into t select generate_series(1, 100)");
    let output = run(stand, args).ok();
    let told = output.stderr.lines().rev().find_map(|line| line.split("Wrote backup with name ").nth(1));
    told.unwrap_or_else(|| panic!("{}", output.report())).split(' ').next().unwrap().to_string()
}

fn folder(stand: &Stand) -> std::path::PathBuf {
    stand.store_dir().join("basebackups_005")
}

/// `DeltaFrom`, `DeltaFullName` and `DeltaCount` of a backup.
fn lineage(stand: &Stand, name: &str) -> [Value; 3] {
    let sentinel = read(&folder(stand).join(format!("{name}_backup_stop_sentinel.json")));
    ["DeltaFrom", "DeltaFullName", "DeltaCount"].map(|key| sentinel[key].clone())
}

fn delta(from: &str, full: &str, count: u32) -> [Value; 3] {
    [json!(from), json!(full), json!(count)]
}

#[test]
fn pg_013_pg_046_deltas_of_a_server() {
    let mut stand = stands::small("pg-deltas", &StandSpec::default());
    let full = push(&stand, &["--add-user-data", r#"{"n": 1}"#]);
    stand.set("WALG_DELTA_MAX_STEPS", "2");
    let one = push(&stand, &[]);
    let two = push(&stand, &["--add-user-data", r#"{"n": 2}"#]);
    let wal = |name: &str| name["base_".len()..][..24].to_string();
    assert_eq!(one, format!("base_{}_D_{}", wal(&one), wal(&full)));
    assert_eq!(two, format!("base_{}_D_{}", wal(&two), wal(&one)));
    assert_eq!(lineage(&stand, &one), delta(&full, &full, 1));
    assert_eq!(lineage(&stand, &two), delta(&one, &full, 2));
    let next = push(&stand, &[]);
    assert!(!next.contains("_D_"), "{next}");

    let named = push(&stand, &["--delta-from-name", &full]);
    assert_eq!(lineage(&stand, &named), delta(&full, &full, 1));
    let by_data = push(&stand, &["--delta-from-user-data", r#"{"n":1}"#]);
    assert_eq!(lineage(&stand, &by_data), delta(&full, &full, 1));
    stand.set("WALG_DELTA_FROM_NAME", &one);
    assert_eq!(lineage(&stand, &push(&stand, &[])), delta(&one, &full, 2));
    stand.set("WALG_DELTA_FROM_NAME", "");
    run(&stand, &["--delta-from-name", "base_none"]).fails(1, &["base_none", "does not exist"]);
    run(&stand, &["--delta-from-user-data", r#"{"n":3}"#]).fails(1, &["No backups found"]);
    run(&stand, &["--delta-from-name", &full, "--delta-from-user-data", "1"]).fails(1, &["not both"]);

    // Over the full backup at the root, counting on; and a permanent delta keeps its whole chain.
    stand.set("WALG_DELTA_MAX_STEPS", "3");
    stand.set("WALG_DELTA_ORIGIN", "LATEST_FULL");
    assert_eq!(lineage(&stand, &push(&stand, &[])), delta(&full, &full, 3));
    stand.set("WALG_DELTA_ORIGIN", "LATEST");
    let permanent = push(&stand, &["--delta-from-name", &one, "--permanent"]);
    for (backup, expected) in [(&full, true), (&one, true), (&permanent, true), (&two, false)] {
        let metadata = read(&folder(&stand).join(backup).join("metadata.json"));
        assert_eq!(metadata["is_permanent"], json!(expected), "{backup}");
    }
}
