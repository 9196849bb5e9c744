//! Restores in two steps and of some segments alone.

use rig::{Place, StandSpec, load};

use crate::stands;

/// Unpack writes no settings of recovery, prepare does, and the cluster starts after both.
#[test]
fn gp_032_033_034_unpack_then_prepare() {
    let stand = stands::small("modes", &StandSpec::default());
    load(&stand.cluster);
    let before = stands::sums(&stand.cluster);
    stand.damson(&["backup-push"]).ok();
    let restore = stand.plan_restore("restored");
    stand.fetch(&restore, &["LATEST", "--mode", "halfway"]).fails(1, &["halfway", "unpack"]);
    stand.fetch(&restore, &["LATEST", "--mode", "prepare"]).fails(1, &["holds no restored data directory"]);
    stand.fetch(&restore, &["LATEST", "--mode", "unpack"]).ok();
    for (place, server) in restore.places.iter().zip(&stand.cluster.servers) {
        assert!(!place.data_dir.join("recovery.signal").exists());
        assert!(!place.data_dir.join("damson.recovery.conf").exists());
        for file in ["pg_hba.conf", "postgresql.conf"] {
            let (ours, theirs) = (place.data_dir.join(file), server.data_dir.join(file));
            assert_eq!(std::fs::read(ours).unwrap(), std::fs::read(theirs).unwrap(), "{file}");
        }
    }
    for _ in 0..2 {
        stand.fetch(&restore, &["LATEST", "--mode", "prepare"]).ok();
    }
    restore.places.iter().for_each(is_prepared);
    assert_eq!(stands::sums(&stand.start_restored(&restore)), before);
}

fn is_prepared(place: &Place) {
    let read = |name: &str| std::fs::read_to_string(place.data_dir.join(name)).unwrap();
    assert_eq!(read("recovery.signal"), "");
    assert_eq!(read("postgresql.conf").matches("include_if_exists = 'damson.recovery.conf'").count(), 1);
    assert!(read("damson.recovery.conf").contains(&format!("--content-id={} ", place.content)));
    assert!(read("pg_hba.conf").contains("host    all             all             127.0.0.2/32            trust\n"));
}

/// Segments that are not asked for are left alone, in both steps; the coordinator need not be among those asked for.
#[test]
fn gp_030_chosen_segments_alone() {
    let stand = stands::start("contents", &StandSpec::default());
    load(&stand.cluster);
    let before = stands::sums(&stand.cluster);
    stand.damson(&["backup-push"]).ok();
    let mut restore = stand.plan_restore("restored");
    stand.fetch(&restore, &["LATEST", "--content-ids", "0,7"]).fails(1, &["no content id 7", "-1, 0, 1, 2"]);
    stand.fetch(&restore, &["LATEST", "--content-ids", "0,2"]).ok();
    let made: Vec<i32> = restore.places.iter().filter(|p| p.data_dir.exists()).map(|p| p.content).collect();
    assert_eq!(made, [0, 2]);
    stand.fetch(&restore, &["LATEST", "--content-ids=-1"]).ok();
    restore.places.retain(|place| place.content != 1);
    let restored = stand.start_restored(&restore);
    assert_eq!(stands::sums(&restored), [before[0].clone(), before[1].clone(), before[3].clone()]);
}
