//! Every object of a chain that WAL-G wrote, missing or damaged: a clear error, or a right restore where it is not needed.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use codec::{Cipher, Compression};
use formats::BackupName;
use rig::{Scratch, golden};
use segment_agent::repository::Repository;

use crate::damage::{Contents, Objects, assert_same, contents, directory, restore, store};

/// The delta's delta of primary 0.
const NEWEST: &str = "base_00000001000000000000000A_D_000000010000000000000005";

/// The objects of one segment of the golden cluster, without the log.
fn objects_of(root: &Path) -> Objects {
    let mut objects = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let key = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if key.starts_with("basebackups_005") {
                objects.insert(key, Bytes::from(std::fs::read(&path).unwrap()));
            }
        }
    }
    objects
}

struct Chain {
    objects: Objects,
    backup: BackupName,
    expected: Contents,
}

impl Chain {
    fn new() -> Chain {
        let scratch = Scratch::new("chain-objects");
        let objects = objects_of(&golden::greenplum6(&scratch).join("segments_005/seg0"));
        let mut chain = Chain { objects, backup: NEWEST.parse().unwrap(), expected: Contents::new() };
        chain.expected = chain.restored(&chain.objects).unwrap();
        chain
    }

    /// What a restore gives, or its message and remedy.
    fn restored(&self, objects: &Objects) -> Result<Contents, (String, Option<String>)> {
        let dir = directory();
        let repository = Repository::over(store(objects), Compression::Lz4, Cipher::None);
        match restore(&repository, &self.backup, dir.path()) {
            Ok(_) => {
                let mut found = contents(dir.path());
                // Its times differ from run to run.
                found.remove(Path::new(".damson-restored"));
                Ok(found)
            }
            Err(error) => Err((error.to_string(), error.remedy())),
        }
    }

    /// True if the restore failed, which it must do clearly.
    fn fails_or_is_right(&self, key: &str, objects: &Objects, what: &str) -> bool {
        match self.restored(objects) {
            Ok(found) => {
                assert_same(&self.expected, &found, what);
                false
            }
            Err((message, remedy)) => {
                // Of an archive that is gone, the codec is not known.
                let name = key.rsplit('/').next().unwrap().trim_end_matches(".zst");
                let sentinel = name.trim_end_matches("_backup_stop_sentinel.json");
                assert!(message.contains(name) || message.contains(sentinel), "{what}: {message}");
                assert!(remedy.is_some(), "{what}: no remedy for {message}");
                true
            }
        }
    }
}

/// Needed by no restore of the newest backup: times and sizes for people, control files of older backups, lists of a kind of
/// table that Greenplum 6 does not have, and the files of a table that was truncated since.
fn is_dispensable(key: &str) -> bool {
    let of_older = key.contains("pg_control.tar") && !key.contains(NEWEST);
    let truncated = key.contains("_16389_1_1_");
    key.ends_with("/metadata.json") || key.ends_with("/pax_files_metadata.json") || of_older || truncated
}

#[test]
fn gp_013_a_missing_object_of_the_chain_is_named() {
    let chain = Chain::new();
    for key in chain.objects.keys() {
        let mut objects = chain.objects.clone();
        objects.remove(key);
        let failed = chain.fails_or_is_right(key, &objects, &format!("without {key}"));
        let of_other_table = key.contains("aosegments");
        assert!(failed || is_dispensable(key) || of_other_table, "{key} was not missed");
        assert!(!(failed && is_dispensable(key)), "{key} is needed after all");
    }
}

#[test]
fn gp_013_a_damaged_object_of_the_chain_is_named() {
    let chain = Chain::new();
    let data = chain.objects.keys().filter(|key| key.contains("tar_partitions") || key.contains("aosegments"));
    for key in data {
        for thousandths in [0, 3, 400, 999] {
            let mut objects = chain.objects.clone();
            let mut body = objects[key].to_vec();
            let at = body.len() * thousandths / 1000;
            body[at] ^= 0x10;
            objects.insert(key.clone(), Bytes::from(body));
            let what = format!("{key} with byte {at} changed");
            let failed = chain.fails_or_is_right(key, &objects, &what);
            assert!(failed || is_dispensable(key) || key.contains("aosegments"), "{what}: not noticed");
        }
    }
    // Documents have no hash in WAL-G's trees, but a cut is noticed.
    for key in chain.objects.keys().filter(|key| key.ends_with(".json") && !is_dispensable(key)) {
        let mut objects = chain.objects.clone();
        let body = objects[key].slice(..objects[key].len() / 2);
        objects.insert(key.clone(), body);
        assert!(chain.fails_or_is_right(key, &objects, &format!("half of {key}")), "half of {key} was enough");
    }
}

/// A list of append-optimized files that lost an entry: the file would come back as it was in an older backup, or not at all.
#[test]
fn an_increment_that_no_list_has_is_an_error() {
    let chain = Chain::new();
    let middle = "basebackups_005/base_000000010000000000000005_D_000000010000000000000002/ao_files_metadata.json";
    for key in chain.objects.keys().filter(|key| key.ends_with("/ao_files_metadata.json")) {
        let mut objects = chain.objects.clone();
        objects.insert(key.clone(), Bytes::from_static(br#"{"Files":{}}"#));
        let (message, _) = chain.restored(&objects).expect_err(key);
        let folder = key.rsplit('/').nth(1).unwrap();
        assert!(message.contains(folder) && message.contains("cannot be restored"), "{key}: {message}");
        assert!(key != middle || message.contains("increment"), "{message}");
    }
}
