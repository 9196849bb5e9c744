//! A cluster's backup, damaged object by object, restored by the command: the right files, or a failure that names the object.

use std::path::{Path, PathBuf};

use rig::tree::{self, Listing};
use rig::{AoKind, AoTable, Output, Restore, Stand, StandSpec, User};

use super::case::Damage;
use crate::stands;

const KINDS: [Damage; 3] = [Damage::Deleted, Damage::Cut(500), Damage::Flipped(500)];

/// Objects of the delta and of the full backup under it, of the segment with content id 0; `{full}` and `{delta}` are its backups.
/// Whether a restore may do without.
const OBJECTS: [(&str, bool); 19] = [
    ("basebackups_005/{cluster}_backup_stop_sentinel.json", false),
    ("{seg}/{full}_backup_stop_sentinel.json", false),
    ("{seg}/{delta}_backup_stop_sentinel.json", false),
    ("{seg}/{full}/metadata.json", true),
    ("{seg}/{delta}/metadata.json", true),
    ("{seg}/{full}/files_metadata.json", true),
    ("{seg}/{delta}/files_metadata.json", true),
    ("{seg}/{full}/ao_files_metadata.json", true),
    ("{seg}/{delta}/ao_files_metadata.json", false),
    // Without it a backup is as provable as one of WAL-G's.
    ("{seg}/{full}/manifest.json", true),
    ("{seg}/{delta}/manifest.json", true),
    ("{seg}/{full}/tar_partitions/part_001", false),
    // It holds the increment of a table.
    ("{seg}/{delta}/tar_partitions/part_001", false),
    ("{seg}/{delta}/tar_partitions/pg_control", false),
    ("{seg}/{delta}/tar_partitions/backup_label", false),
    // The control file and label of an older backup are never restored.
    ("{seg}/{full}/tar_partitions/pg_control", true),
    ("{seg}/{full}/tar_partitions/backup_label", true),
    ("{seg}/aosegments/{whole}", false),
    ("{seg}/aosegments/{increment}", false),
];

const SEGMENT: &str = "segments_005/seg0/basebackups_005";

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// The files of the storage whose path begins so, without the storage's own.
fn stored(stand: &Stand, start: &str) -> Vec<String> {
    let root = stand.store_dir();
    let name = |path: PathBuf| path.strip_prefix(&root).unwrap().to_str().unwrap().to_string();
    let mut names: Vec<_> = files_below(&root).into_iter().map(name).filter(|name| name.starts_with(start)).collect();
    names.sort();
    names
}

/// Names of the segment's backups, oldest first.
fn segment_backups(stand: &Stand) -> Vec<String> {
    let end = "_backup_stop_sentinel.json";
    let sentinels = stored(stand, SEGMENT).into_iter().filter(|name| name.ends_with(end));
    let mut names: Vec<_> =
        sentinels.map(|name| name.rsplit('/').next().unwrap().trim_end_matches(end).to_string()).collect();
    names.sort_by_key(String::len);
    names
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

/// A full backup and a delta of it, with a file of an append-optimized table that grew between them.
fn chain(name: &str) -> (Stand, [(&'static str, String); 6]) {
    let settings = vec![("WALG_DELTA_MAX_STEPS".to_string(), "1".to_string())];
    let stand = stands::small(name, &StandSpec { settings, ..StandSpec::default() });
    let server = stand.cluster.server(0);
    rig::sql(server, "create table pages as select g a, md5(g::text) b from generate_series(1, 20000) g; checkpoint");
    let table = AoTable::create(server, "postgres", "rows_t", AoKind::Row);
    let noise: Vec<u8> = (0..3_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    table.append(server, 1, &noise[..2 << 20]);
    stand.damson(&["backup-push"]).ok();
    let whole = stored(&stand, &format!("{SEGMENT}/aosegments")).pop().expect("a shared object");
    rig::sql(server, "update pages set b = 'changed' where a = 1; checkpoint");
    table.append(server, 1, &noise[2 << 20..]);
    stand.damson(&["backup-push"]).ok();
    let shared = stored(&stand, &format!("{SEGMENT}/aosegments"));
    let increment = shared.into_iter().find(|name| *name != whole).expect("an increment");
    let [full, delta] = segment_backups(&stand).try_into().unwrap();
    let cluster = stands::latest(&stand);
    let file_name = |name: String| name.rsplit('/').next().unwrap().to_string();
    let names = [
        ("{cluster}", cluster),
        ("{seg}", SEGMENT.to_string()),
        ("{full}", full),
        ("{delta}", delta),
        ("{whole}", file_name(whole)),
        ("{increment}", file_name(increment)),
    ];
    (stand, names)
}

#[test]
fn a_damaged_object_of_a_chain_is_named_or_does_no_harm() {
    let (stand, names) = chain("dmg-objects");
    let cluster = names[0].1.clone();
    let restore = stand.plan_restore("restored");
    unpack(&stand, &restore, &[&cluster]).ok();
    let expected = listings(&restore);
    for (object, dispensable) in OBJECTS {
        let start = names.iter().fold(object.to_string(), |text, (key, name)| text.replace(key, name));
        let found = stored(&stand, &start);
        let [object] = &found[..] else { panic!("{start}: {found:?}") };
        let path = stand.store_dir().join(object);
        for damage in KINDS {
            let what = format!("{object} {damage:?}");
            empty(&restore);
            let whole = damage.apply_to_file(&path);
            let output = unpack(&stand, &restore, &[&cluster]);
            if output.status == Some(0) {
                for (expected, found) in expected.iter().zip(listings(&restore)) {
                    assert_eq!(tree::differences(expected, &found), "", "{what}");
                }
                assert!(dispensable || damage != Damage::Deleted, "{what} went unseen");
            } else {
                let file = path.file_name().unwrap().to_str().unwrap();
                let file = file.trim_end_matches(".lz4").trim_end_matches("_backup_stop_sentinel.json");
                assert!(output.status == Some(1) && output.stderr.contains(file), "{what}: {}", output.report());
                let place = restore.places.iter().find(|place| place.content == 0).unwrap();
                assert!(!place.data_dir.join("global/pg_control").exists(), "{what}: a server could be started");
            }
            User::get().write(&path, whole, 0o600);
        }
    }
    empty(&restore);
    unpack(&stand, &restore, &[&cluster]).ok();
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
    let name = segment_backups(&stand)[0].trim_start_matches("base_")[..24].to_string();
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
