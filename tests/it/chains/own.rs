//! Chains that Damson wrote: every backup of a history restored, and restores of a chain that were interrupted.

use std::path::Path;

use codec::{Cipher, Compression};
use rig::{Cluster, StandSpec, load, sql};
use segment_agent::repository::Repository;
use storage::{ErrorKind, FaultPlan, Operation, Store};

use crate::damage::{Source, assert_same, contents, directory, restore};
use crate::stands;

fn on_all(cluster: &Cluster, script: &str) {
    cluster.servers.iter().for_each(|server| drop(sql(server, script)));
}

/// Pages change, files grow, shrink, vanish, are written anew, and stay as they are.
const CHANGES: [&str; 3] = [
    "update heap_t set b = 'x' || b where a % 500 = 0; insert into wide_t select a + 1000, b from wide_t; \
     create table later as select generate_series(1, 20000) a; drop table \"Odd.Schema\".\"Mixed Table\"",
    "delete from heap_t where a > 15000; vacuum heap_t; truncate later; insert into later select generate_series(1, 5)",
    "vacuum full heap_t; insert into heap_t select g, 'new' from generate_series(30001, 31000) g; drop table later",
];

#[test]
fn gp_013_every_backup_of_a_history_comes_back() {
    let settings = vec![("WALG_DELTA_MAX_STEPS".to_string(), "7".to_string())];
    let stand = stands::small("history", &StandSpec { settings, ..StandSpec::default() });
    load(&stand.cluster);
    let mut history = Vec::new();
    for changes in ["", CHANGES[0], CHANGES[1], "", CHANGES[2]] {
        on_all(&stand.cluster, changes);
        stand.damson(&["backup-push"]).ok();
        history.push((stands::latest(&stand), stands::sums(&stand.cluster)));
    }
    assert!(history.iter().skip(1).all(|(name, _)| name.contains("_D_")), "{history:?}");
    for (number, (name, sums)) in history.iter().enumerate() {
        let restored = stand.restore(&format!("r{number}"), &[name]);
        assert_eq!(&stands::sums(&restored), sums, "{name}");
        for server in &restored.servers {
            sql(server, "reindex database postgres; analyze");
        }
    }
}

/// The storage fails at one object of a chain, in each level once; the next run ends up right, and keeps what was whole.
#[test]
fn an_interrupted_restore_of_a_chain_is_taken_up() {
    let source = Source::start("chain-resume");
    let server = source.cluster.coordinator();
    let repository = Repository::over(Store::memory(), Compression::Lz4, Cipher::None);
    let full = source.push(&repository).unwrap().backup_name;
    sql(server, "update t set b = 'changed' where a % 100 = 0; create table u as select generate_series(1, 9000) a");
    let delta = source.push_upon(&repository, Some(full.clone())).unwrap().backup_name;
    sql(server, "insert into t select a + 10000, b from t; insert into u select generate_series(1, 9000)");
    let newest = source.push_upon(&repository, Some(delta.clone())).unwrap().backup_name;

    let undisturbed = directory();
    restore(&repository, &newest, undisturbed.path()).unwrap();
    let files_of = |root: &Path| {
        let mut found = contents(root);
        // Its times differ from run to run.
        found.remove(Path::new(".damson-restored"));
        found
    };
    let expected = files_of(undisturbed.path());
    for (key, some_are_kept) in [
        (format!("{full}/tar_partitions/part_002"), false),
        (format!("{delta}/tar_partitions/part_001"), true),
        (format!("{newest}/tar_partitions/backup_label"), true),
        (format!("{newest}/tar_partitions/pg_control"), true),
    ] {
        let dir = directory();
        let plan = FaultPlan::nth(1).of(Operation::Read).on_key(&key).with(ErrorKind::Denied);
        let broken = Repository::over(repository.store().clone().failing(plan), Compression::Lz4, Cipher::None);
        restore(&broken, &newest, dir.path()).expect_err(&key);
        assert!(!dir.path().join("global/pg_control").exists(), "{key}");
        let fetched = restore(&repository, &newest, dir.path()).unwrap();
        assert!(fetched.kept_files > 0 || !some_are_kept, "{key}: {fetched:?}");
        assert_same(&expected, &files_of(dir.path()), &key);
        // Finished now: a third run has nothing to do.
        let again = restore(&repository, &newest, dir.path()).unwrap();
        assert_eq!(again.kept_files, again.files, "{key}: {again:?}");
    }
}
