//! A cluster's backup, damaged object by object, restored by the command: the right files, or a failure that names the object.

use std::path::{Path, PathBuf};

use rig::tree::{self, Listing};
use rig::{Output, Restore, Stand, StandSpec, User};

use super::case::Damage;
use crate::stands;

const KINDS: [Damage; 3] = [Damage::Deleted, Damage::Cut(500), Damage::Flipped(500)];

/// Objects of the backup by a part of their names, those of the segment with content id 0. Whether a restore may do without.
const OBJECTS: [(&str, bool); 9] = [
    ("_backup_stop_sentinel.json", false),
    ("seg0/_backup_stop_sentinel.json", false),
    ("seg0/metadata.json", true),
    ("seg0/files_metadata.json", true),
    ("seg0/ao_files_metadata.json", false),
    // Without it the backup is as provable as one of WAL-G's.
    ("seg0/manifest.json", true),
    ("seg0/tar_partitions/part_001", false),
    ("seg0/tar_partitions/pg_control", false),
    ("seg0/tar_partitions/backup_label", false),
];

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// The file of an object, as [`OBJECTS`] names it.
fn find(stand: &Stand, name: &str) -> PathBuf {
    let (folder, end) = match name.strip_prefix("seg0/") {
        Some(end) => ("segments_005/seg0/basebackups_005", end),
        None => ("basebackups_005", name),
    };
    let files = files_below(&stand.store_dir().join(folder));
    let mut found = files.into_iter().filter(|file| {
        let text = file.to_str().unwrap();
        text.contains(&format!("/{end}")) || (end.starts_with('_') && text.ends_with(end))
    });
    found.next().unwrap_or_else(|| panic!("no object {name}"))
}

fn unpack(stand: &Stand, restore: &Restore, args: &[&str]) -> Output {
    stand.fetch(restore, &[args, &["--mode", "unpack"]].concat())
}

fn listings(restore: &Restore) -> Vec<Listing> {
    // It tells the time of the restore.
    let list = |place: &rig::Place| tree::without(tree::list(&place.data_dir), |path| path == ".damson-restored");
    restore.places.iter().map(list).collect()
}

fn empty(restore: &Restore) {
    for place in &restore.places {
        if place.data_dir.exists() {
            std::fs::remove_dir_all(&place.data_dir).unwrap();
        }
    }
}

#[test]
fn a_damaged_object_is_named_or_does_no_harm() {
    let stand = stands::small("dmg-objects", &StandSpec::default());
    stand.damson(&["backup-push"]).ok();
    let name = stands::latest(&stand);
    let restore = stand.plan_restore("restored");
    unpack(&stand, &restore, &[&name]).ok();
    let expected = listings(&restore);
    for (object, dispensable) in OBJECTS {
        let path = find(&stand, object);
        for damage in KINDS {
            let what = format!("{object} {damage:?}");
            empty(&restore);
            let whole = damage.apply_to_file(&path);
            let output = unpack(&stand, &restore, &[&name]);
            if output.status == Some(0) {
                for (expected, found) in expected.iter().zip(listings(&restore)) {
                    assert_eq!(tree::differences(expected, &found), "", "{what}");
                }
                assert!(dispensable || damage != Damage::Deleted, "{what} went unseen");
            } else {
                let file = path.file_name().unwrap().to_str().unwrap();
                let is_named = [file, name.as_str()].iter().any(|name| output.stderr.contains(name));
                assert!(output.status == Some(1) && is_named, "{what}: {}", output.report());
                let is_whole = |place: &rig::Place| place.data_dir.join("global/pg_control").exists();
                let place = restore.places.iter().find(|place| place.content == 0).unwrap();
                assert!(!is_whole(place), "{what}: a server could be started");
            }
            User::get().write(&path, whole, 0o600);
        }
    }
    empty(&restore);
    unpack(&stand, &restore, &[&name]).ok();
}

/// The point's own document is needed by whoever names the point; the backup's restore does not depend on it.
#[test]
fn a_damaged_restore_point_is_named_or_does_no_harm() {
    let stand = stands::small("dmg-point", &StandSpec::default());
    stand.damson(&["backup-push"]).ok();
    stand.damson(&["create-restore-point", "marked"]).ok();
    let restore = stand.plan_restore("restored");
    unpack(&stand, &restore, &["LATEST"]).ok();
    let expected = listings(&restore);
    let path = stand.store_dir().join("basebackups_005/marked_restore_point.json");
    for damage in KINDS {
        empty(&restore);
        let whole = damage.apply_to_file(&path);
        let output = unpack(&stand, &restore, &["--restore-point", "marked"]);
        if output.status != Some(0) {
            assert!(output.stderr.contains("marked"), "{damage:?}: {}", output.report());
            unpack(&stand, &restore, &["LATEST"]).ok();
        }
        for (expected, found) in expected.iter().zip(listings(&restore)) {
            assert_eq!(tree::differences(expected, &found), "", "{damage:?}");
        }
        User::get().write(&path, whole, 0o600);
    }
}

/// A segment whose log is damaged does not reach its point: it does not start, and starts when the log is whole again.
#[test]
fn a_damaged_log_never_makes_a_server_that_looks_whole() {
    let stand = stands::small("dmg-log", &StandSpec::default());
    rig::load(&stand.cluster);
    let before = stands::sums(&stand.cluster);
    stand.damson(&["backup-push"]).ok();
    // Of the segment, the file in which the backup began.
    let sentinel = std::fs::read(find(&stand, "seg0/_backup_stop_sentinel.json")).unwrap();
    let sentinel: serde_json::Value = serde_json::from_slice(&sentinel).unwrap();
    let name = find(&stand, "seg0/_backup_stop_sentinel.json");
    let name = name.file_name().unwrap().to_str().unwrap().trim_start_matches("base_")[..24].to_string();
    assert!(sentinel["LSN"].is_u64());
    let path = stand.store_dir().join(format!("segments_005/seg0/wal_005/{name}.lz4"));
    for (number, damage) in KINDS.into_iter().enumerate() {
        let whole = damage.apply_to_file(&path);
        let restore = stand.plan_restore(&format!("damaged{number}"));
        stand.fetch(&restore, &["LATEST"]).ok();
        let place = restore.places.iter().find(|place| place.content == 0).unwrap();
        let mut server = rig::Server::at(&stand.scratch, &stand.hosts, place, &[("archive_mode", "off")]);
        server.start_in_vain();
        assert!(server.log_text().contains(&name) || server.log_text().contains("FATAL"), "{}", server.log_text());
        User::get().write(&path, whole, 0o600);
        let restored = stand.start_restored(&restore);
        assert_eq!(stands::sums(&restored), before, "{damage:?}");
    }
}
