//! A disk that is full in the middle of a restore.

use rig::{Stand, StandSpec, User, restore_config};

use super::small_disk::SmallDisk;
use super::{MARKER, assert_same, kept, listings, unpack};

#[test]
fn a_full_disk_is_told_and_more_room_is_all_it_takes() {
    // Small parts, so that some are finished when the room ends.
    let settings = vec![("WALG_TAR_SIZE_THRESHOLD".to_string(), "2000000".to_string())];
    let stand = Stand::start("full", &StandSpec { settings, ..StandSpec::default() });
    rig::load(&stand.cluster);
    stand.damson(&["hosts", "install"]).ok();
    stand.damson(&["backup-push"]).ok();
    let undisturbed = stand.plan_restore("undisturbed");
    unpack(&stand, &undisturbed, "LATEST").ok();

    let mut restore = stand.plan_restore("restored");
    let small = stand.hosts.list[1].dir.join("small");
    User::get().make_dir(&small);
    // Room for a half of what content 2 needs.
    let Some(disk) = SmallDisk::mount(&small, 16) else { return };
    let place = restore.places.iter_mut().find(|place| place.content == 2).unwrap();
    place.data_dir = small.join("gpseg2");
    let data_dir = place.data_dir.clone();
    restore.config = stand.scratch.write("restored.json", restore_config(&restore.places));

    let output = unpack(&stand, &restore, "LATEST");
    let path = data_dir.display().to_string();
    let output = output.fails(1, &["content 2", &path, "No space left on device", "free space on that file system"]);
    assert!(!output.stderr.contains("ready to be started"), "{}", output.report());
    assert!(data_dir.join(MARKER).is_file() && !data_dir.join("global/pg_control").exists());
    // Nothing changed: the same failure, not a worse one.
    unpack(&stand, &restore, "LATEST").fails(1, &[&path, "No space left on device"]);

    disk.resize(200);
    let output = unpack(&stand, &restore, "LATEST").ok();
    assert!(kept(&output, 2) > 0, "{}", output.report());
    assert_same(&listings(&undisturbed.places), &listings(&restore.places));
}
