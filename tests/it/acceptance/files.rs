//! Where bytes go, and where they do not.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rig::{Stand, StandSpec, Workplace, sql};

use crate::stands;

/// Stands in a table of every server.
const TEXT: &str = "quotemeifyoucanreadthisrow";

/// Every file of the hosts, outside of data directories and the agents' state directories.
fn local_files(stand: &Stand) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut open: Vec<PathBuf> = stand.hosts.list.iter().map(|host| host.dir.clone()).collect();
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).unwrap().flatten() {
            let path = entry.path();
            let is_data = stand.cluster.servers.iter().any(|server| path == server.data_dir);
            let is_state = stand.hosts.list.iter().any(|host| path == host.state_dir);
            if path.is_dir() && !path.is_symlink() && !is_data && !is_state {
                open.push(path);
            } else if path.is_file() {
                found.insert(path);
            }
        }
    }
    found
}

fn bytes_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|e| if e.path().is_dir() { bytes_below(&e.path()) } else { e.metadata().map_or(0, |m| m.len()) }).sum()
}

/// Compressed with zstd and encrypted; no host has a file more than before, and state directories hold journals alone.
#[test]
fn gp_001_a_backup_is_compressed_encrypted_and_not_staged() {
    let setting = |name: &str, value: &str| (name.to_string(), value.to_string());
    let settings = vec![
        setting("WALG_COMPRESSION_METHOD", "zstd"),
        setting("WALG_LIBSODIUM_KEY", "a key of thirty-two bytes, right"),
        setting("WALG_LIBSODIUM_KEY_TRANSFORM", "none"),
    ];
    let stand = stands::start("streamed", &StandSpec { settings, ..StandSpec::default() });
    rig::load(&stand.cluster);
    for server in &stand.cluster.servers {
        sql(server, &format!("create table secret as select '{TEXT}' || g from generate_series(1, 1000) g"));
    }
    let before = (stands::sums(&stand.cluster), local_files(&stand));
    stand.damson(&["backup-push"]).ok();
    assert_eq!(local_files(&stand), before.1);
    for host in &stand.hosts.list {
        assert!(bytes_below(&host.state_dir) < 1 << 20, "{} is more than journals", host.state_dir.display());
    }
    let root = stand.store_dir();
    let objects = rig::tree::list(&root);
    let archives: Vec<&String> = objects.keys().filter(|path| path.contains("/tar_partitions/")).collect();
    assert!(archives.len() >= 8 && archives.iter().all(|path| path.ends_with(".tar.zst")), "{archives:?}");
    for path in &archives {
        let body = std::fs::read(root.join(path)).unwrap();
        assert!(!body.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]), "{path} is not encrypted");
        assert!(!body.windows(TEXT.len()).any(|bytes| bytes == TEXT.as_bytes()), "{path}");
    }
    assert_eq!(stands::sums(&stand.restore("restored", &["LATEST"])), before.0);
}

/// Nothing in the storage is nothing in the list.
#[test]
fn gp_046_no_restore_points_are_an_empty_list() {
    let workplace = Workplace::new("no-points");
    workplace.use_new_store("store", &[]);
    let list = |args: &[&str]| workplace.damson(&[&["restore-point-list"], args].concat()).ok();
    assert_eq!(list(&["--json"]).stdout.trim(), "[]");
    assert_eq!(list(&["--json", "--pretty"]).stdout.trim(), "[]");
    for args in [&[][..], &["--pretty"]] {
        let output = list(args);
        assert_eq!(output.stdout, "", "{}", output.report());
    }
}
