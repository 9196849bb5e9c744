//! A real Greenplum 6 cluster, backed up by WAL-G.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rig::{Workplace, golden, tree};
use serde_json::{Value, json};

const EXPECTED: [(&str, &[&str], &str); 11] = [
    ("plain", &["backup-list"], include_str!("../../../coordinator/src/listing/expected/backups.txt")),
    (
        "pretty",
        &["backup-list", "--pretty"],
        include_str!("../../../coordinator/src/listing/expected/backups-pretty.txt"),
    ),
    ("json", &["backup-list", "--json"], include_str!("../../../coordinator/src/listing/expected/backups-json.txt")),
    (
        "pretty json",
        &["backup-list", "--json", "--pretty"],
        include_str!("../../../coordinator/src/listing/expected/backups-json-pretty.txt"),
    ),
    ("detail", &["backup-list", "--detail"], include_str!("../../../coordinator/src/listing/expected/details.txt")),
    (
        "pretty detail",
        &["backup-list", "--detail", "--pretty"],
        include_str!("../../../coordinator/src/listing/expected/details-pretty.txt"),
    ),
    (
        "json detail",
        &["backup-list", "--detail", "--json"],
        include_str!("../../../coordinator/src/listing/expected/details-json.txt"),
    ),
    (
        "pretty json detail",
        &["backup-list", "--detail", "--json", "--pretty"],
        include_str!("../../../coordinator/src/listing/expected/details-json-pretty.txt"),
    ),
    ("points", &["restore-point-list"], include_str!("../../../coordinator/src/listing/expected/restore-points.txt")),
    (
        "pretty points",
        &["restore-point-list", "--pretty"],
        include_str!("../../../coordinator/src/listing/expected/restore-points-pretty.txt"),
    ),
    ("json points", &["restore-point-list", "--json"], RESTORE_POINTS),
];
const RESTORE_POINTS: &str = include_str!("../../../coordinator/src/listing/expected/restore-points-json.txt");

/// All segments on this host, below `<scratch>/<name>`: `c` is the coordinator. Returns the restore config.
fn places(workplace: &Workplace, name: &str) -> (PathBuf, PathBuf) {
    let root = workplace.scratch.dir(name);
    let place = |dir: &str, port: u16| json!({"hostname": "localhost", "port": port, "data_dir": root.join(dir)});
    let config = json!({"segments": {"-1": place("c", 7000), "0": place("s0", 7100), "1": place("s1", 7101)}});
    (workplace.scratch.write(format!("{name}.json"), config.to_string()), root)
}

fn fetch(workplace: &Workplace, backup: &str, config: &Path) -> rig::Output {
    workplace.damson(&["backup-fetch", backup, "--restore-config", config.to_str().unwrap()])
}

/// Every file comes out byte for byte and mode for mode, those of append-optimized tables included: of the full backup, of its
/// delta and of the delta's delta.
#[test]
fn gp_013_every_backup_is_restored_exactly() {
    let workplace = Workplace::new("gp6");
    workplace.use_store(&golden::greenplum6(&workplace.scratch), &[]);
    for (number, backup) in (1..).zip(golden::GREENPLUM6_BACKUPS) {
        let (config, root) = places(&workplace, &format!("restored{number}"));
        fetch(&workplace, backup, &config).ok();
        let found = tree::without(tree::list(&root), golden::is_written_by_restore);
        tree::assert_same(&golden::greenplum6_listing(number), &found);
        for (content, dir) in [(-1, "c"), (0, "s0"), (1, "s1")] {
            is_ready_to_recover(&workplace, &root.join(dir), content, backup);
        }
        fetch(&workplace, backup, &config).fails(1, &["localhost", "must be empty"]);
    }
}

/// A run that unpacked everything is recognised by the next one, though no hash of a file that was put together is known; a
/// file that was touched since is noticed.
#[test]
fn a_finished_restore_of_a_chain_is_recognised() {
    let workplace = Workplace::new("gp6-again");
    workplace.use_store(&golden::greenplum6(&workplace.scratch), &[]);
    let (config, root) = places(&workplace, "restored");
    let unpack = || {
        let config = config.to_str().unwrap();
        workplace.damson(&["backup-fetch", "LATEST", "--mode", "unpack", "--restore-config", config])
    };
    unpack().ok();
    let again = unpack().ok();
    assert!(again.stderr.contains("an earlier run restored everything"), "{}", again.report());
    std::fs::write(root.join("s0/PG_VERSION"), "9.4\n").unwrap();
    unpack().fails(1, &["s0 for delta base must be empty"]);
}

/// Greenplum 6 reads recovery.conf, has no recovery_target_action and would not know recovery.signal.
fn is_ready_to_recover(workplace: &Workplace, data_dir: &Path, content: i32, backup: &str) {
    let text = std::fs::read_to_string(data_dir.join("recovery.conf")).unwrap();
    let (agent, config) = (workplace.product.path("damson-agent"), workplace.product.config.display());
    let expected = format!(
        "restore_command = '{} seg wal-fetch \"%f\" \"%p\" --content-id={content} --config {config}'\n\
         recovery_target_name = '{backup}'\nrecovery_target_timeline = latest\n",
        agent.display()
    );
    assert_eq!(text, expected);
    assert!(!data_dir.join("recovery.signal").exists());
    let access = std::fs::read_to_string(data_dir.join("pg_hba.conf")).unwrap();
    let rules: Vec<_> = access.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(rules[0].starts_with("local ") && rules.iter().all(|rule| rule.ends_with(" trust")), "{access}");
}

/// The lists are those that WAL-G printed.
#[test]
fn gp_046_lists_are_wal_gs() {
    let workplace = Workplace::new("gp6-lists");
    let store = golden::greenplum6(&workplace.scratch);
    workplace.use_store(&store, &[]);
    set_times_of_restore_points(&store);
    for (name, args, expected) in EXPECTED {
        let output = workplace.damson(args).ok();
        assert_eq!(output.stdout, expected, "{name}");
    }
}

/// The archive keeps whole seconds; WAL-G printed more.
fn set_times_of_restore_points(store: &Path) {
    let points: Value = serde_json::from_str(RESTORE_POINTS).unwrap();
    for point in points.as_array().unwrap() {
        let name = point["backup_name"].as_str().unwrap();
        let file = File::open(store.join(format!("basebackups_005/{name}_restore_point.json"))).unwrap();
        file.set_modified(time_of(point["time"].as_str().unwrap())).unwrap();
    }
}

fn time_of(text: &str) -> SystemTime {
    chrono::DateTime::parse_from_rfc3339(text).unwrap().into()
}
