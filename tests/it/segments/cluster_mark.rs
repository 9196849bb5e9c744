//! `backup-mark` of a cluster's backups: a real Greenplum 6 cluster's tree, whose three backups are one chain.

use std::path::{Path, PathBuf};

use rig::{Workplace, golden};
use serde_json::Value;

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Of the cluster and of all its segments, backup by backup; they must agree.
fn permanent(store: &Path) -> [bool; 3] {
    golden::GREENPLUM6_BACKUPS.map(|name| {
        let sentinel = read(&store.join(format!("basebackups_005/{name}_backup_stop_sentinel.json")));
        for segment in sentinel["segments"].as_array().unwrap() {
            let folder = format!("segments_005/seg{}/basebackups_005", segment["content_id"]);
            let metadata = store.join(folder).join(segment["backup_name"].as_str().unwrap()).join("metadata.json");
            assert_eq!(read(&metadata)["is_permanent"], sentinel["is_permanent"], "{}", metadata.display());
        }
        sentinel["is_permanent"].as_bool().unwrap()
    })
}

fn listed(workplace: &Workplace) -> Vec<String> {
    let text = workplace.damson(&["backup-list"]).ok().stdout;
    text.lines().skip(1).map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

fn workplace(name: &str) -> (Workplace, PathBuf) {
    let workplace = Workplace::new(name);
    let store = golden::greenplum6(&workplace.scratch);
    workplace.use_store(&store, &[]);
    (workplace, store)
}

#[test]
fn gp_048_a_permanent_delta_keeps_its_whole_chain() {
    let (workplace, store) = workplace("gp-mark");
    let [full, delta, second] = golden::GREENPLUM6_BACKUPS;
    let mark = |args: &[&str]| workplace.damson(&[&["backup-mark"], args].concat());
    mark(&[delta]).ok();
    assert_eq!(permanent(&store), [true, true, false]);
    assert_eq!(listed(&workplace), golden::GREENPLUM6_BACKUPS, "the order of the backups must stay");
    mark(&[delta]).ok_despite(&["is already marked as permanent, ignoring"]);
    mark(&["-i", full]).fails(1, &["Can't mark backup", delta, "impermanent first"]);
    mark(&["LATEST"]).ok();
    assert_eq!(permanent(&store), [true, true, true]);
    mark(&["-i", delta]).fails(1, &[second]);
    for backup in [second, delta, full] {
        mark(&["--impermanent", backup]).ok();
        assert_eq!(listed(&workplace), golden::GREENPLUM6_BACKUPS);
    }
    assert_eq!(permanent(&store), [false, false, false]);
    mark(&["nosuch"]).fails(1, &["nosuch", "does not exist"]);
    let points = workplace.damson(&["restore-point-list"]).ok().stdout;
    assert_eq!(points.lines().count(), 6, "{points}");
}

/// Cut off between segments and cluster, or in the middle of the cluster's documents: the next run completes it.
#[test]
fn a_mark_that_was_cut_off_is_completed() {
    let (workplace, store) = workplace("gp-mark-again");
    let [full, delta, _] = golden::GREENPLUM6_BACKUPS;
    let mark = |args: &[&str]| workplace.damson(&[&["backup-mark"], args].concat());
    mark(&[delta]).ok();
    // As if the run had ended after the full backup's sentinel: it seems to be the latest.
    let sentinel = store.join(format!("basebackups_005/{full}_backup_stop_sentinel.json"));
    let body = std::fs::read(&sentinel).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(5));
    std::fs::write(&sentinel, body).unwrap();
    assert_eq!(listed(&workplace).last().map(String::as_str), Some(full));
    mark(&[delta]).ok_despite(&["is already marked"]);
    assert_eq!(listed(&workplace), golden::GREENPLUM6_BACKUPS);
    // As if the segments alone had been unmarked: the cluster's mark is the truth, and is made so.
    let segment = read(&sentinel)["segments"][0].clone();
    let (content, name) = (segment["content_id"].to_string(), segment["backup_name"].as_str().unwrap().to_owned());
    workplace
        .damson(&["seg", "backup-mark", "-i", &name, "--content-id", &content])
        .fails(1, &["depends on this backup"]);
    let metadata = store.join(format!("segments_005/seg{content}/basebackups_005/{name}/metadata.json"));
    let text = std::fs::read_to_string(&metadata).unwrap().replace(r#""is_permanent":true"#, r#""is_permanent":false"#);
    std::fs::write(&metadata, text).unwrap();
    mark(&[delta]).ok();
    assert_eq!(permanent(&store), [true, true, false]);
}
