//! A storage that fails at any one moment of a restore.

use std::sync::OnceLock;

use formats::BackupName;
use segment_agent::repository::Repository;
use storage::{ErrorKind, FaultPlan, RequestCounts, Store};

use super::source::{Tree, assert_same, contents, directory, plain_tree, restore, store};

/// Operations of a whole restore; a bound on where faults can strike.
fn operations(counts: RequestCounts) -> u64 {
    let RequestCounts { puts, uploads, writes, finishes, aborts, reads, chunks, heads, lists, deletes } = counts;
    puts + uploads + writes + finishes + aborts + reads + chunks + heads + lists + deletes
}

fn over(tree: &Tree, store: Store) -> Repository {
    Repository::over(store, tree.compression, tree.cipher.clone())
}

/// Restores while the storage does not work as planned, then again while it does, into the same directory.
fn fail_and_resume(tree: &Tree, backup: &BackupName, plan: FaultPlan, what: &str) -> bool {
    let dir = directory();
    let healthy = store(&tree.objects);
    match restore(&over(tree, healthy.clone().failing(plan)), backup, dir.path()) {
        Ok(_) => {
            assert_same(&tree.expected, &contents(dir.path()), what);
            return false;
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    restore(&over(tree, healthy), backup, dir.path()).unwrap_or_else(|e| panic!("{what}: the rerun fails: {e}"));
    assert_same(&tree.expected, &contents(dir.path()), what);
    true
}

fn count() -> u64 {
    static COUNT: OnceLock<u64> = OnceLock::new();
    *COUNT.get_or_init(|| {
        let tree = plain_tree();
        let dir = directory();
        let store = store(&tree.objects);
        let before = operations(store.requests());
        restore(&over(&tree, store.clone()), &tree.backup, dir.path()).unwrap();
        operations(store.requests()) - before
    })
}

/// One failure at each operation in turn; a restore has no choice but to fail, and resumes.
#[test]
fn a_restore_survives_a_failure_at_every_operation() {
    let tree = plain_tree();
    for n in 1..=count() {
        let failed = fail_and_resume(&tree, &tree.backup, FaultPlan::nth(n), &format!("operation {n}"));
        assert!(failed, "the failure of operation {n} went unseen");
    }
}

/// From an operation on nothing works any more.
#[test]
fn a_restore_survives_the_end_of_the_storage() {
    let tree = plain_tree();
    for n in (1..=count()).step_by(3) {
        let plan = FaultPlan::nth(n).forever().with(ErrorKind::Denied);
        assert!(fail_and_resume(&tree, &tree.backup, plan, &format!("from operation {n} on")));
    }
}

/// A storage that denies that an object exists, as an inconsistent one does.
#[test]
fn an_object_that_is_denied_never_makes_a_wrong_tree() {
    let tree = plain_tree();
    for n in 1..=count() {
        let plan = FaultPlan::nth(n).with(ErrorKind::NotFound);
        fail_and_resume(&tree, &tree.backup, plan, &format!("operation {n} finds nothing"));
    }
}
