//! A storage that fails at any one moment of a push, against a real server.

use std::time::Duration;

use codec::{Cipher, Compression};
use rig::{sql, wait_for};
use segment_agent::repository::Repository;
use storage::{ErrorKind, FaultPlan, Store};

use super::source::{Source, assert_same, contents, directory, objects, restore};

fn over(store: &Store) -> Repository {
    Repository::over(store.clone(), Compression::Lz4, Cipher::None)
}

/// A session that is gone has left backup mode; the product's sessions are the only other ones.
fn no_session_is_left(source: &Source) {
    let question =
        "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()";
    wait_for("end of the product's sessions", Duration::from_secs(20), || {
        sql(source.cluster.coordinator(), question) == "0"
    });
}

/// The failure is reported, nothing of the backup is left, no server stays in backup mode, and the next push is whole.
#[test]
fn a_push_cleans_up_after_a_failure_at_every_operation() {
    let source = Source::start("dmg-push");
    let store = Store::memory();
    let mut n = 0;
    let backup = loop {
        n += 1;
        assert!(n < 500, "faults strike without an end");
        match source.push(&over(&store.clone().failing(FaultPlan::nth(n)))) {
            Ok(pushed) => break pushed.backup_name,
            Err(error) => assert!(error.to_string().contains("a fault was injected"), "operation {n}: {error}"),
        }
        let left: Vec<_> = objects(&store).into_keys().collect();
        assert!(left.is_empty(), "after the failure of operation {n} the storage holds {left:?}");
        no_session_is_left(&source);
    };
    assert!(n > 20, "a push has more operations than {n}");
    let dir = directory();
    restore(&over(&store), &backup, dir.path()).unwrap();
    let found = contents(dir.path());
    let again = directory();
    restore(&over(&store), &backup, again.path()).unwrap();
    assert_same(&found, &contents(again.path()), "two restores of one backup");
}

/// Where nothing can be deleted either, what is left is no backup, and the next push is not disturbed by it.
#[test]
fn a_push_to_a_storage_that_went_away_leaves_no_backup() {
    let source = Source::start("dmg-gone");
    let store = Store::memory();
    for n in (1..60).step_by(7) {
        let plan = FaultPlan::nth(n).forever().with(ErrorKind::Denied);
        let Err(error) = source.push(&over(&store.clone().failing(plan))) else { break };
        assert!(error.to_string().contains("access denied"), "from operation {n} on: {error}");
        let sentinels = objects(&store).into_keys().filter(|key| key.ends_with("_backup_stop_sentinel.json")).count();
        assert_eq!(sentinels, 0, "from operation {n} on");
        no_session_is_left(&source);
    }
    let backup = source.push(&over(&store)).unwrap().backup_name;
    let dir = directory();
    restore(&over(&store), &backup, dir.path()).unwrap();
    assert!(dir.path().join("global/pg_control").is_file());
}
