//! The tree of a real Greenplum 6 cluster: dry runs are what WAL-G printed for it, but where WAL-G is wrong.

use std::collections::BTreeSet;
use std::path::PathBuf;

use rig::{Workplace, golden, tree};
use serde_json::{Value, json};

use super::{counts, keys, marked};

const FULL: &str = golden::GREENPLUM6_BACKUPS[0];
const DELTA_1: &str = golden::GREENPLUM6_BACKUPS[1];
const DELTA_2: &str = golden::GREENPLUM6_BACKUPS[2];

fn scene(name: &str) -> (Workplace, PathBuf) {
    let workplace = Workplace::new(name);
    let store = golden::greenplum6(&workplace.scratch);
    workplace.use_store(&store, &[]);
    (workplace, store)
}

/// Log files before the full backup: what `retain FULL 1`, `before FIND_FULL` and `garbage` remove.
fn outdated() -> BTreeSet<String> {
    let files = [
        "seg-1/wal_005/000000010000000000000002",
        "seg0/wal_005/000000010000000000000001",
        "seg1/wal_005/000000010000000000000001",
    ];
    files.map(|file| format!("segments_005/{file}.zst")).into()
}

/// WAL-G's counts, cluster first. It removes the same objects.
#[test]
fn dry_runs_that_remove_outdated_log_alone() {
    let (workplace, store) = scene("del-log");
    let before = keys(&store);
    let forms: [&[&str]; 3] = [&["retain", "FULL", "1"], &["before", "FIND_FULL", DELTA_2], &["garbage"]];
    for form in forms {
        let output = workplace.damson(&[&["delete"], form].concat()).ok();
        assert_eq!(marked(&output), outdated(), "{form:?}");
        assert_eq!(counts(&output), [0, 1, 1, 1], "{}", output.report());
        let ids =
            ["-1 (backupId=4d8b5350-001d-4a0a-b05e-236140836c2c)", "0 (backupId=b590d304-4413-4c36-a14a-2f9c12c2c5af)"];
        for id in ids {
            assert!(output.stderr.contains(&format!("Processing segment {id}")), "{}", output.report());
        }
        assert!(output.stderr.contains("Dry run: objects would be deleted count=1, Run with --confirm to execute"));
        assert!(output.stdout.contains("log files                  3"), "{}", output.stdout);
        assert_eq!(keys(&store), before, "a dry run changes nothing");
    }
    workplace.damson(&["delete", "garbage", "--confirm"]).ok();
    assert_eq!(&before - &keys(&store), outdated());
}

#[test]
fn what_cannot_be_is_refused_as_by_wal_g() {
    let (workplace, store) = scene("del-refused");
    let before = keys(&store);
    let incremental = format!(
        "{DELTA_2}_backup_stop_sentinel.json is incremental and it's predecessors cannot be deleted. Consider FIND_FULL option."
    );
    let future = "2999-01-01T00:00:00Z";
    let cases: [(&[&str], &str); 10] = [
        (&["retain", "1"], &incremental),
        (&["before", DELTA_2], &incremental),
        (&["before", "FULL", DELTA_2], "unsupported modifier for delete before command"),
        (&["before", future], "cannot delete before future date"),
        (&["before", "backup_nonexistent"], "Backup 'backup_nonexistent' does not exist."),
        (&["target", "backup_nonexistent"], "Backup 'backup_nonexistent' does not exist"),
        (&["target"], "incorrect arguments"),
        (&["target", "FULL", DELTA_2], "incorrect arguments"),
        (&["retain", "0"], "cannot retain less than one backup. Check out delete everything"),
        (&["retain", "many"], "is not a number"),
    ];
    for (form, message) in cases {
        for confirm in [&[][..], &["--confirm"]] {
            workplace.damson(&[&["delete"], form, confirm].concat()).fails(1, &[message]);
        }
    }
    workplace.damson(&["delete", "retain"]).fails(1, &["required"]);
    for form in [&["retain", "4"][..], &["retain", "FULL", "2"], &["before", "2026-11-21T09:00:00Z"]] {
        let output = workplace.damson(&[&["delete"], form, &["--confirm"]].concat()).ok();
        assert!(output.stderr.contains("No backup found for deletion"), "{}", output.report());
    }
    assert_eq!(keys(&store), before);
}

/// Objects of a segment's backups with these log files, as in WAL-G's list.
fn of_backups(store: &std::path::Path, parts: &[&str]) -> BTreeSet<String> {
    let of = |key: &String| key.contains("/basebackups_005/base_") && parts.iter().any(|part| key.contains(part));
    keys(store).into_iter().filter(of).collect()
}

/// WAL-G lists 14 objects for each segment and 2 sentinels. Ours has besides what it removes without showing it (objects of
/// append-optimized tables), and what it forgets (the restore points of the backups).
#[test]
fn target_takes_what_is_based_on_it() {
    let (workplace, store) = scene("del-target");
    let output = workplace.damson(&["delete", "target", DELTA_1]).ok();
    let found = marked(&output);
    let backups = of_backups(&store, &["05_D_", "0A_D_", "06_D_", "0B_D_"]);
    assert_eq!(backups.len(), 3 * 14);
    let shared = |key: &&String| key.contains("/aosegments/");
    assert!(found.is_superset(&backups));
    let freed: BTreeSet<_> = found.iter().filter(shared).cloned().collect();
    assert_eq!(freed.len(), 2 * 5, "four tails and a file written anew: {freed:#?}");
    assert!(freed.iter().all(|key| key.ends_with("_D_2_aoseg") || key.contains("_16431_1_1_")), "{freed:#?}");
    let documents = [DELTA_1, DELTA_2].iter().flat_map(|name| {
        ["backup_stop_sentinel", "restore_point"].map(|kind| format!("basebackups_005/{name}_{kind}.json"))
    });
    let rest: BTreeSet<_> = &(&found - &backups) - &freed;
    assert_eq!(rest, documents.collect(), "user restore points stay, since the full backup reaches them");
    assert!(output.stdout.contains(&format!("  {DELTA_1}: it is that of a backup that goes")), "{}", output.stdout);
}

#[test]
fn target_by_user_data_takes_the_whole_chain() {
    let (workplace, store) = scene("del-data");
    let by_data = workplace.damson(&["delete", "target", "--target-user-data", r#"{"label":"monday"}"#]).ok();
    let by_name = workplace.damson(&["delete", "target", "FIND_FULL", "LATEST"]).ok();
    let found = marked(&by_data);
    assert_eq!(found, marked(&by_name));
    // Of the segments only the log is left, of the cluster nothing.
    let log = keys(&store).into_iter().filter(|key| key.contains("/wal_005/")).collect();
    assert_eq!(&keys(&store) - &found, log);
    assert!(by_data.stdout.contains("  after_damage: no older backup remains"), "{}", by_data.stdout);
    workplace.damson(&["delete", "target", FULL, "--target-user-data", "1"]).fails(1, &["incorrect arguments"]);
}

/// As WAL-G's lists afterwards, but for the restore point, which WAL-G leaves.
#[test]
fn a_confirmed_target_leaves_the_rest_restorable() {
    let (workplace, store) = scene("del-confirm");
    let before = keys(&store);
    let expected = marked(&workplace.damson(&["delete", "target", DELTA_2]).ok());
    let output = workplace.damson(&["delete", "target", DELTA_2, "--confirm"]).ok();
    assert_eq!(counts(&output), [2, 7, 8, 8], "{}", output.report());
    assert_eq!(&before - &keys(&store), expected);
    assert_eq!(expected.iter().filter(|key| key.contains("_16431_1_1_")).count(), 2, "as WAL-G freed them");
    let listed = workplace.damson(&["backup-list"]).ok().stdout;
    assert!(listed.contains(DELTA_1) && !listed.contains(DELTA_2), "{listed}");
    let points = workplace.damson(&["restore-point-list"]).ok().stdout;
    assert!(points.contains("after_damage") && !points.contains(DELTA_2), "{points}");
    restores(&workplace, FULL);
}

fn restores(workplace: &Workplace, backup: &str) {
    let root = workplace.scratch.dir("restored");
    let place = |dir: &str, port: u16| json!({"hostname": "localhost", "port": port, "data_dir": root.join(dir)});
    let config = json!({"segments": {"-1": place("c", 7000), "0": place("s0", 7100), "1": place("s1", 7101)}});
    let config = workplace.scratch.write("restored.json", config.to_string());
    workplace.damson(&["backup-fetch", backup, "--restore-config", config.to_str().unwrap()]).ok();
    let found = tree::without(tree::list(&root), golden::is_written_by_restore);
    tree::assert_same(&golden::greenplum6_listing(1), &found);
}

fn rewrite(path: &std::path::Path, change: impl Fn(&mut Value)) {
    let modified = std::fs::metadata(path).unwrap().modified().unwrap();
    let mut document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    change(&mut document);
    std::fs::write(path, document.to_string()).unwrap();
    std::fs::File::open(path).unwrap().set_modified(modified).unwrap();
}

/// WAL-G deletes permanent backups by name, and the cluster's sentinel of a permanent delta with everything older.
#[test]
fn permanent_backups_are_kept_with_their_bases() {
    let (workplace, store) = scene("del-permanent");
    let sentinel = store.join(format!("basebackups_005/{DELTA_1}_backup_stop_sentinel.json"));
    rewrite(&sentinel, |document| document["is_permanent"] = json!(true));
    let before = keys(&store);
    for name in [FULL, DELTA_1] {
        let refused = workplace.damson(&["delete", "target", name, "--confirm"]);
        refused.fails(1, &["permanent backups are not deleted", DELTA_1]);
    }
    let all = workplace.damson(&["delete", "everything", "--confirm"]);
    all.fails(1, &[&format!("Found permanent backups=[{DELTA_1}]")]);
    assert_eq!(keys(&store), before);
    workplace.damson(&["delete", "target", DELTA_2, "--confirm"]).ok();
    // Nothing is left that could go but the log before the chain.
    let output = workplace.damson(&["delete", "garbage", "--confirm"]).ok();
    assert!(output.stderr.contains("Couldn't find any non-permanent backups in storage."), "{}", output.report());
    assert_eq!(workplace.damson(&["backup-list"]).ok().stdout.lines().count(), 3);
}

/// A mark on one segment's backup keeps the cluster's.
#[test]
fn a_permanent_backup_of_one_segment_keeps_the_others() {
    let (workplace, store) = scene("del-mark");
    let metadata = "segments_005/seg1/basebackups_005/base_000000010000000000000002/metadata.json";
    rewrite(&store.join(metadata), |document| document["is_permanent"] = json!(true));
    workplace.damson(&["delete", "target", FULL, "--confirm"]).fails(1, &["permanent backups are not deleted", FULL]);
    workplace.damson(&["delete", "everything"]).fails(1, &[&format!("Found permanent backups=[{FULL}]")]);
    workplace.damson(&["delete", "everything", "FORCE", "--confirm"]).ok();
    assert!(keys(&store).is_empty(), "{:?}", keys(&store));
}

#[test]
fn everything_is_everything_of_ours() {
    let (workplace, store) = scene("del-all");
    let before = keys(&store);
    let foreign = store.join("somebody_else/file");
    std::fs::create_dir(foreign.parent().unwrap()).unwrap();
    std::fs::write(&foreign, "x").unwrap();
    let output = workplace.damson(&["delete", "everything"]).ok();
    assert_eq!(marked(&output), before);
    let json = workplace.damson(&["delete", "everything", "--json"]).ok().stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["objects"], json!(before.len()));
    workplace.damson(&["delete", "everything", "--confirm"]).ok();
    assert_eq!(keys(&store), ["somebody_else/file".to_owned()].into());
    for form in [&["everything"][..], &["garbage"], &["retain", "1"]] {
        workplace.damson(&[&["delete"], form, &["--confirm"]].concat()).ok();
    }
}

/// What a push that never finished has left: backups of segments that no cluster backup names, and parts without a sentinel.
#[test]
fn what_failed_pushes_left_is_found_behind_the_newest_backup_too() {
    let (workplace, store) = scene("del-failed");
    std::fs::remove_file(store.join(format!("basebackups_005/{DELTA_2}_backup_stop_sentinel.json"))).unwrap();
    let unfinished = "segments_005/seg0/basebackups_005/base_00000001000000000000000A_D_000000010000000000000005";
    std::fs::remove_file(store.join(format!("{unfinished}_backup_stop_sentinel.json"))).unwrap();
    workplace.use_store(&store, &[("DAMSON_GARBAGE_AGE", "720h")]);
    let output = workplace.damson(&["delete", "garbage"]).ok();
    assert!(output.stdout.contains("its push may still be under way"), "{}", output.stdout);
    assert_eq!(marked(&output), outdated());
    workplace.use_store(&store, &[]);
    workplace.damson(&["delete", "garbage", "--confirm"]).ok();
    let left = of_backups(&store, &["0A_D_", "0B_D_"]);
    assert!(left.is_empty(), "{left:#?}");
    assert!(!keys(&store).iter().any(|key| key.contains("_16431_1_1_")));
    restores(&workplace, FULL);
}

/// Which backups a sentinel that cannot be read protects is not known.
#[test]
fn a_sentinel_that_cannot_be_read_protects_everything() {
    let (workplace, store) = scene("del-damaged");
    std::fs::write(store.join(format!("basebackups_005/{DELTA_2}_backup_stop_sentinel.json")), "{").unwrap();
    let before = keys(&store);
    for form in [&["garbage"][..], &["retain", "FULL", "1"], &["target", DELTA_1], &["everything"]] {
        let output = workplace.damson(&[&["delete"], form, &["--confirm"]].concat());
        output.fails(1, &["cannot be read", "nothing is deleted"]);
    }
    assert_eq!(keys(&store), before);
    workplace.damson(&["delete", "target", DELTA_2, "--confirm", "--force-delete"]).ok_despite(&[DELTA_2]);
    let left = of_backups(&store, &["0A_D_", "0B_D_"]);
    assert!(left.is_empty(), "{left:#?}");
    assert_eq!(workplace.damson(&["backup-list"]).ok().stdout.lines().count(), 3);
}
