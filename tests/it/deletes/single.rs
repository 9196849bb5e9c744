//! `damson-pg delete` on a tree of WAL-G: a full backup and a delta.

use std::collections::BTreeSet;
use std::path::PathBuf;

use rig::{Output, Workplace, golden};

use super::{counts, keys, marked};

fn scene(name: &str) -> (Workplace, PathBuf) {
    let workplace = Workplace::new(name);
    let store = golden::postgres15(&workplace.scratch, "pg15-lz4").join("storage");
    workplace.use_store(&store, &[]);
    (workplace, store)
}

fn delete(workplace: &Workplace, args: &[&str]) -> Output {
    workplace.damson_pg(&[&["delete"], args].concat())
}

fn backups(store: &std::path::Path) -> Vec<String> {
    let sentinel = |key: String| {
        Some(key.strip_prefix("basebackups_005/")?.strip_suffix("_backup_stop_sentinel.json")?.to_owned())
    };
    keys(store).into_iter().filter_map(sentinel).collect()
}

#[test]
fn every_form_on_a_tree_of_wal_g() {
    let (workplace, store) = scene("pg-del");
    let all = keys(&store);
    let names = backups(&store);
    assert!(names.len() >= 2, "{names:?}");
    let newest = names.last().unwrap();
    let garbage = delete(&workplace, &["garbage"]).ok();
    let archives = delete(&workplace, &["garbage", "ARCHIVES"]).ok();
    assert!(marked(&garbage).is_superset(&marked(&archives)));
    assert!(marked(&archives).iter().all(|key| key.starts_with("wal_005/")));
    assert!(marked(&delete(&workplace, &["garbage", "BACKUPS"]).ok()).is_empty());
    delete(&workplace, &["garbage", "OTHER"]).fails(1, &["OTHER"]);
    delete(&workplace, &["retain", "0"]).fails(1, &["cannot retain less than one backup. Check out delete everything"]);
    delete(&workplace, &["target", "base_nonexistent"]).fails(1, &["Backup 'base_nonexistent' does not exist."]);
    let many = delete(&workplace, &["retain", "50"]).ok();
    assert!(many.stderr.contains("No backup found for deletion"), "{}", many.report());
    delete(&workplace, &["before", newest, "--use-sentinel-time"]);
    let everything = delete(&workplace, &["everything", "FORCE"]).ok();
    assert_eq!(counts(&everything), [marked(&everything).len()]);
    assert_eq!(marked(&everything), all.iter().filter(|key| is_ours(key)).cloned().collect::<BTreeSet<_>>());
    assert_eq!(keys(&store), all);
    delete(&workplace, &["everything", "FORCE", "--confirm"]).ok();
    assert!(keys(&store).iter().all(|key| !is_ours(key)));
}

fn is_ours(key: &str) -> bool {
    ["basebackups_005/", "wal_005/", "catchup_005/"].iter().any(|folder| key.starts_with(folder))
}

#[test]
fn a_target_takes_its_deltas_and_leaves_the_log() {
    let (workplace, store) = scene("pg-target");
    let delta = backups(&store).into_iter().find(|name| name.contains("_D_")).unwrap();
    let before = keys(&store);
    let form = ["target", delta.as_str()];
    let dry = marked(&delete(&workplace, &form).ok());
    assert!(dry.iter().all(|key| key.starts_with("basebackups_005/")));
    delete(&workplace, &[&form[..], &["--confirm"]].concat()).ok();
    assert_eq!(&before - &keys(&store), dry);
    assert!(!backups(&store).contains(&delta));
}
