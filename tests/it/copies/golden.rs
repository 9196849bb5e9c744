//! A copy of what WAL-G wrote about a real Greenplum 6 cluster, append-optimized tables included.

use std::path::{Path, PathBuf};

use rig::{Workplace, golden, tree};
use serde_json::json;

fn settings(workplace: &Workplace, name: &str, root: &Path) -> String {
    let text = json!({"WALG_FILE_PREFIX": root}).to_string();
    workplace.scratch.write(format!("{name}.json"), text).to_str().unwrap().to_owned()
}

fn names(folder: PathBuf) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn st_021_a_copied_backup_restores_after_the_source_is_gone() {
    let workplace = Workplace::new("copy-gp6");
    let source = golden::greenplum6(&workplace.scratch);
    let target = workplace.scratch.dir("target");
    let (from, to) = (settings(&workplace, "from", &source), settings(&workplace, "to", &target));
    let copy = |args: &[&str]| {
        let command = [&["copy", "--from", &from, "-t", &to], args].concat();
        workplace.product.run(workplace.product.command("damson", &command))
    };
    copy(&["-b", "nosuch"]).fails(1, &["nosuch", "does not exist"]);
    assert!(names(target.clone()).is_empty());
    copy(&["-b", golden::GREENPLUM6_BACKUPS[0]]).ok();
    let full = names(target.join("segments_005/seg0/basebackups_005/aosegments"));
    let all = names(source.join("segments_005/seg0/basebackups_005/aosegments"));
    assert!(!full.is_empty() && full.len() < all.len() && full.iter().all(|name| all.contains(name)), "{full:?}");
    // Again: all is there. Then the deltas join it.
    let again = copy(&["-b", golden::GREENPLUM6_BACKUPS[0]]).ok();
    assert!(again.stderr.contains(": 0 objects of 0 bytes will be copied"), "{}", again.report());
    copy(&["-b", "LATEST", "--with-history"]).ok();
    assert_eq!(names(target.join("segments_005/seg0/basebackups_005/aosegments")), all);
    let points = names(target.join("basebackups_005")).into_iter().filter(|name| name.contains("restore_point"));
    assert_eq!(points.count(), 3);
    std::fs::remove_dir_all(&source).unwrap();

    workplace.use_store(&target, &[]);
    let listed = workplace.damson(&["backup-list"]).ok().stdout;
    let listed: Vec<&str> = listed.lines().skip(1).map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(listed, golden::GREENPLUM6_BACKUPS);
    let root = workplace.scratch.dir("restored");
    let place = |dir: &str, port: u16| json!({"hostname": "localhost", "port": port, "data_dir": root.join(dir)});
    let config = json!({"segments": {"-1": place("c", 7000), "0": place("s0", 7100), "1": place("s1", 7101)}});
    let config = workplace.scratch.write("restore.json", config.to_string());
    let fetch = ["backup-fetch", golden::GREENPLUM6_BACKUPS[0], "--restore-config", config.to_str().unwrap()];
    workplace.damson(&fetch).ok();
    let found = tree::without(tree::list(&root), golden::is_written_by_restore);
    tree::assert_same(&golden::greenplum6_listing(1), &found);
}

/// A lost shared object or a hole in the log ends the copy before anything is written; so does another object in the way.
#[test]
fn what_would_not_be_whole_is_not_copied() {
    let workplace = Workplace::new("copy-holes");
    let source = golden::greenplum6(&workplace.scratch);
    let target = workplace.scratch.dir("target");
    let (from, to) = (settings(&workplace, "from", &source), settings(&workplace, "to", &target));
    let backup = golden::GREENPLUM6_BACKUPS[0];
    let copy = || {
        let command = ["copy", "-f", &from, "-t", &to, "-b", backup];
        workplace.product.run(workplace.product.command("damson", &command))
    };
    let folder = source.join("segments_005/seg1/basebackups_005/aosegments");
    let metadata =
        source.join("segments_005/seg1/basebackups_005/base_000000010000000000000002/ao_files_metadata.json");
    let metadata = std::fs::read_to_string(metadata).unwrap();
    let needed = names(folder.clone()).into_iter().find(|name| metadata.contains(name)).unwrap();
    let moved = workplace.scratch.join("moved");
    std::fs::rename(folder.join(&needed), &moved).unwrap();
    copy().fails(1, &["content 1", &needed, "nothing was copied"]);
    std::fs::rename(&moved, folder.join(&needed)).unwrap();

    let archive = source.join("segments_005/seg-1/wal_005");
    let file = archive.join("000000010000000000000003.zst");
    std::fs::rename(&file, &moved).unwrap();
    copy().fails(1, &["content -1", "000000010000000000000003", "not archived"]);
    std::fs::rename(&moved, &file).unwrap();
    assert!(names(target.clone()).is_empty());

    let blocked = target.join("segments_005/seg1/basebackups_005/aosegments");
    rig::User::get().make_dir(&target.join("segments_005"));
    for dir in
        ["segments_005/seg1", "segments_005/seg1/basebackups_005", "segments_005/seg1/basebackups_005/aosegments"]
    {
        rig::User::get().make_dir(&target.join(dir));
    }
    rig::User::get().write(&blocked.join(&needed), "other", 0o600);
    copy().fails(1, &["in the way", &needed, "5 bytes there"]);
    assert_eq!(names(target.clone()), ["segments_005"]);
    std::fs::remove_file(blocked.join(&needed)).unwrap();
    copy().ok();
}
