//! Backups of a single server that WAL-G wrote.

use std::path::Path;

use rig::{Workplace, golden, tree};
use serde_json::json;

const FULL: &str = "base_000000010000000000000003";
const DELTA: &str = "base_000000010000000000000005_D_000000010000000000000003";

/// Files with their sums.
fn contents(root: &Path) -> Vec<(String, String)> {
    let files = tree::list(root).into_iter().filter_map(|(path, entry)| match entry {
        tree::Entry::File { sha256, .. } => Some((path, sha256)),
        _ => None,
    });
    files.collect()
}

#[test]
fn pg_066_copies_of_one_and_of_all() {
    let workplace = Workplace::new("copy-pg");
    let source = golden::postgres15(&workplace.scratch, "pg15-lz4").join("storage");
    let config = |name: &str, root: &Path| {
        let text = json!({"WALG_FILE_PREFIX": root}).to_string();
        workplace.scratch.write(format!("{name}.json"), text).to_str().unwrap().to_owned()
    };
    let (one, all) = (workplace.scratch.dir("one"), workplace.scratch.dir("all"));
    let (from, one_config, all_config) = (config("from", &source), config("to-one", &one), config("to-all", &all));
    workplace.use_store(&source, &[]);
    let copy = |args: &[&str]| workplace.damson_pg(&[&["copy", "--from", &from], args].concat());
    workplace.damson_pg(&["copy", "--from", &from]).fails(1, &["--to"]);
    copy(&["-t", &one_config, "-b", FULL]).ok();
    copy(&["-t", &all_config, "-w"]).ok();

    // Everything but the log before the first backup; the order of the sentinels is that of the chain.
    let mut expected = contents(&source);
    expected.retain(|(path, _)| path != "wal_005/000000010000000000000002.lz4");
    assert_eq!(expected, contents(&all));
    assert!(!one.join(format!("basebackups_005/{DELTA}_backup_stop_sentinel.json")).exists());
    workplace.use_store(&all, &[]);
    let listed = workplace.damson_pg(&["backup-list"]).ok().stdout;
    assert_eq!(listed.lines().nth(1).map(|line| line.starts_with(&format!("{FULL} "))), Some(true), "{listed}");
    let verified = ["wal-verify", "integrity", "--timeline", "1", "--lsn", "0/6000000"];
    let verified = workplace.damson_pg(&verified).ok().stdout;
    assert!(verified.contains("check status: OK"), "{verified}");

    workplace.use_store(&one, &[]);
    let data = workplace.scratch.join("data");
    workplace.damson_pg(&["backup-fetch", data.to_str().unwrap(), "LATEST"]).ok();
    assert!(data.join("global/pg_control").is_file());
}
