//! Deletions on a running cluster; what stays is restored.

use std::path::Path;

use rig::{Stand, StandSpec, sql};

use super::keys;
use crate::stands;

fn push(stand: &Stand, args: &[&str]) -> String {
    stand.damson(&[&["backup-push"], args].concat()).ok();
    stands::latest(stand)
}

fn mark(stand: &Stand, number: i32) {
    for server in &stand.cluster.servers {
        sql(server, &format!("create table if not exists marks(a int); insert into marks values ({number})"));
    }
}

fn names(stand: &Stand) -> Vec<String> {
    let listed = stands::backups(stand, &[]);
    listed.iter().map(|backup| backup["backup_name"].as_str().unwrap().to_owned()).collect()
}

fn points(stand: &Stand) -> String {
    stand.damson(&["restore-point-list"]).ok().stdout
}

fn restores(stand: &Stand, name: &str, args: &[&str], expected: i32) {
    let restored = stand.restore(name, args);
    for server in &restored.servers {
        assert_eq!(sql(server, "select max(a), count(*) from marks"), format!("{expected}|{expected}"), "{args:?}");
    }
}

/// Log objects of one segment.
fn log(store: &Path, content: i32) -> usize {
    keys(store).iter().filter(|key| key.starts_with(&format!("segments_005/seg{content}/wal_005/"))).count()
}

#[test]
fn gp_048_old_backups_go_and_the_rest_is_restored() {
    let mut stand = stands::small("delete", &StandSpec::default());
    stand.set("DAMSON_GARBAGE_AGE", "0s");
    mark(&stand, 1);
    let first = push(&stand, &["--permanent"]);
    mark(&stand, 2);
    stand.damson(&["create-restore-point", "lost"]).ok();
    let second = push(&stand, &[]);
    mark(&stand, 3);
    stand.damson(&["create-restore-point", "too"]).ok();
    mark(&stand, 4);
    let third = push(&stand, &["--add-user-data", r#"{"n":3}"#]);
    mark(&stand, 5);
    stand.damson(&["create-restore-point", "kept"]).ok();
    let fourth = push(&stand, &[]);
    let store = stand.store_dir();
    let before: Vec<_> = [-1, 0].map(|content| log(&store, content)).into();

    let dry = stand.damson(&["delete", "retain", "FULL", "2"]).ok();
    for line in [
        format!("  {second}: older than {third}"),
        format!("  {first}: permanent"),
        format!("  lost: the log between {first} and it goes"),
        format!("  {second}: it is that of a backup that goes"),
    ] {
        assert!(dry.stdout.contains(&line), "{line}\n{}", dry.report());
    }
    assert_eq!(names(&stand), [first.as_str(), &second, &third, &fourth]);
    stand.damson(&["delete", "retain", "FULL", "2", "--confirm"]).ok();
    assert_eq!(names(&stand), [first.as_str(), &third, &fourth]);
    let left = points(&stand);
    assert!(left.contains("kept") && left.contains(&first), "{left}");
    assert!(!left.contains("lost") && !left.contains("too") && !left.contains(&second), "{left}");
    for (content, before) in [-1, 0].into_iter().zip(before) {
        assert!(log(&store, content) < before, "the log of {second} goes");
    }
    restores(&stand, "first", &[&first], 1);
    restores(&stand, "third", &[&third], 4);
    restores(&stand, "kept", &["--restore-point", "kept"], 5);

    // A push that died after one segment, and objects of one that died before.
    let keys_before = keys(&store);
    stand.damson(&["delete", "target", "--target-user-data", r#"{"n":3}"#, "--confirm"]).ok();
    assert_eq!(names(&stand), [first.as_str(), &fourth]);
    assert!(points(&stand).contains("kept"), "the permanent backup and the log after {third} are there");
    let sentinel = store.join(format!("basebackups_005/{fourth}_backup_stop_sentinel.json"));
    std::fs::remove_file(sentinel).unwrap();
    stand.damson(&["delete", "garbage", "--confirm"]).ok();
    assert_eq!(names(&stand), [first.as_str()]);
    let folders = |content: i32| {
        let folder = format!("segments_005/seg{content}/basebackups_005/");
        let mut backups: Vec<_> =
            keys(&store).into_iter().filter_map(|key| Some(key.strip_prefix(&folder)?[..29].to_owned())).collect();
        backups.dedup();
        backups.len()
    };
    assert_eq!((folders(-1), folders(0)), (1, 1), "{keys_before:#?}");
    restores(&stand, "again", &[&first], 1);

    let fifth = push(&stand, &[]);
    stand.damson(&["delete", "before", &fifth, "--confirm"]).ok();
    restores(&stand, "last", &["LATEST"], 5);
    stand.damson(&["delete", "everything", "--confirm"]).fails(1, &["Found permanent backups"]);
    stand.damson(&["delete", "everything", "FORCE", "--confirm"]).ok();
    assert!(keys(&store).is_empty(), "{:?}", keys(&store));
    let sixth = push(&stand, &[]);
    restores(&stand, "sixth", &[&sixth], 5);
}

/// Whatever the number of segments at once, the same goes. One that makes no sense is one.
#[test]
fn gp_042_segments_are_cleaned_side_by_side() {
    let mut stand = stands::start("parallel", &StandSpec { primaries: vec![3, 2], ..StandSpec::default() });
    let mut gone = Vec::new();
    for (number, warning) in [("1", ""), ("4", ""), ("0", "one after the other")] {
        stand.set("WALG_GP_DELETE_CONCURRENCY", number);
        push(&stand, &[]);
        let newest = push(&stand, &[]);
        let output = stand.damson(&["delete", "before", &newest, "--confirm"]).ok_despite(&["one after the other"]);
        assert_eq!(output.complaints().len(), usize::from(!warning.is_empty()), "{}", output.report());
        assert_eq!(names(&stand), [newest]);
        gone.push(super::counts(&output).len());
    }
    assert_eq!(gone, [7, 7, 7], "the cluster, the coordinator and five primaries");
    stand.restore("restored", &["LATEST"]);
}

/// A segment that cannot be cleaned stops no other, and the command says so.
#[test]
fn a_failure_on_one_segment_leaves_the_others_clean() {
    let stand = stands::small("one-fails", &StandSpec::default());
    let first = push(&stand, &[]);
    let second = push(&stand, &[]);
    let store = stand.store_dir();
    let folder = store.join("segments_005/seg-1/basebackups_005");
    let mode = |mode: u32| {
        let mode: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(&folder, mode).unwrap();
    };
    mode(0o500);
    let output = stand.damson(&["delete", "before", &second, "--confirm"]);
    output.fails(1, &["segment -1: cannot delete", "finishes what was begun"]);
    mode(0o700);
    assert_eq!(names(&stand), [second.as_str()]);
    let sentinels = |content: i32| {
        let prefix = format!("segments_005/seg{content}/basebackups_005/");
        keys(&store).iter().filter(|key| key.starts_with(&prefix) && key.ends_with("sentinel.json")).count()
    };
    assert_eq!((sentinels(-1), sentinels(0)), (2, 1), "{first}");
    stand.damson(&["delete", "garbage", "--confirm"]).ok();
    assert_eq!((sentinels(-1), sentinels(0)), (1, 1));
    stand.restore("restored", &["LATEST"]);
}
