//! Encryption with libsodium.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rig::{Stand, StandSpec, load, sql};

use crate::stands;

const KEY: &str = "a key of thirty-two bytes, right";
const OTHER_KEY: &str = "b key of thirty-two bytes, wrong";
/// Stands in a table of every server.
const TEXT: &str = "quotemeifyoucanreadthisrow";

/// Rows come back with the key alone; without it, or with another, the restore says so and leaves nothing that starts.
#[test]
fn rows_come_back_with_the_key_alone() {
    let settings =
        [("WALG_LIBSODIUM_KEY", KEY), ("WALG_LIBSODIUM_KEY_TRANSFORM", "none"), ("WALG_COMPRESSION_METHOD", "none")];
    let settings = settings.map(|(name, value)| (name.to_string(), value.to_string())).to_vec();
    let mut stand = stands::small("sodium", &StandSpec { settings, ..StandSpec::default() });
    load(&stand.cluster);
    for server in &stand.cluster.servers {
        sql(server, &format!("create table secret as select '{TEXT}' || g from generate_series(1, 1000) g"));
    }
    let before = stands::sums(&stand.cluster);
    let pushed = stand.damson(&["backup-push"]).ok();
    assert!(!pushed.report().contains(KEY));
    stand.cluster.servers.iter().for_each(|server| server.archive_wal());
    let (objects, readable) = objects_with(&stand.store_dir(), TEXT);
    assert!(objects > 10 && readable.is_empty(), "{readable:?} of {objects} objects hold text of a table");
    assert_eq!(stands::sums(&stand.restore("restored", &["LATEST"])), before);

    stand.set("WALG_LIBSODIUM_KEY", OTHER_KEY);
    refused(&stand, "wrong", &["does not decrypt with the configured key", "WALG_LIBSODIUM_KEY"]);
    stand.set("WALG_LIBSODIUM_KEY", "");
    refused(&stand, "none", &["no key is configured", "WALG_LIBSODIUM_KEY"]);
    stand.set("WALG_LIBSODIUM_KEY", "short");
    refused(&stand, "short", &["WALG_LIBSODIUM_KEY"]);

    let path = stand.scratch.write("key", KEY);
    stand.set("WALG_LIBSODIUM_KEY", "");
    stand.set("WALG_LIBSODIUM_KEY_PATH", path.to_str().unwrap());
    assert_eq!(stands::sums(&stand.restore("by-path", &["LATEST"])), before);
}

/// The restore fails, says `texts`, never the key, and no directory could be started.
fn refused(stand: &Stand, name: &str, texts: &[&str]) {
    let restore = stand.plan_restore(name);
    let failed = stand.fetch(&restore, &["LATEST"]).fails(1, texts);
    assert!(!failed.stderr.contains(KEY) && !failed.stderr.contains(OTHER_KEY), "{}", failed.report());
    for place in &restore.places {
        assert!(!place.data_dir.join("global/pg_control").exists(), "{} looks whole", place.data_dir.display());
    }
}

/// How many objects there are, and which of them hold `text`.
fn objects_with(store: &Path, text: &str) -> (usize, Vec<String>) {
    let files = rig::tree::list(store);
    let holds = |path: &&String| {
        let path = store.join(path);
        path.metadata().unwrap().size() > 0
            && path.is_file()
            && std::fs::read(path).unwrap().windows(text.len()).any(|bytes| bytes == text.as_bytes())
    };
    (files.len(), files.keys().filter(holds).cloned().collect())
}
