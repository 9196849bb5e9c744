//! Restores that are killed in the middle. The middle is a request that the rig's S3 server holds back.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use rig::tree::Listing;
use rig::{Restore, Stand, StandSpec, Storage, wait_for};

use super::{MARKER, assert_same, kept, listings, unpack};

const LIMIT: Duration = Duration::from_secs(60);

/// A stand with two backups in S3, and what an undisturbed restore of the first gives.
struct Scene {
    stand: Stand,
    first: String,
    second: String,
    expected: Vec<Listing>,
}

impl Scene {
    fn start(name: &str) -> Scene {
        let small_parts = ("WALG_TAR_SIZE_THRESHOLD".to_string(), "2000000".to_string());
        let spec = StandSpec { storage: Storage::S3, settings: vec![small_parts], ..StandSpec::default() };
        let stand = Stand::start(name, &spec);
        rig::load(&stand.cluster);
        stand.damson(&["hosts", "install"]).ok();
        let first = push(&stand);
        // A name has the second of its birth.
        wait_for("another second", LIMIT, || rig::sql(stand.cluster.coordinator(), &later(&first)) == "t");
        let second = push(&stand);
        let undisturbed = stand.plan_restore("undisturbed");
        unpack(&stand, &undisturbed, &first).ok();
        let expected = listings(&undisturbed.places);
        Scene { stand, first, second, expected }
    }

    /// Restores the first backup until the control file of content 1 is asked for, then kills everything at once.
    fn kill_in_the_middle(&self, restore: &Restore) {
        let s3 = self.stand.s3.as_ref().unwrap();
        s3.hold(&["GET *seg1/*pg_control.tar"]);
        let config = restore.config.to_str().unwrap();
        let args = ["backup-fetch", self.first.as_str(), "--restore-config", config, "--mode", "unpack"];
        let mut running = self.stand.product.spawn_damson(&args);
        let before = s3.held().len();
        running.wait_until("the control file is asked for", LIMIT, |_| s3.held().len() > before);
        running.signal(Signal::SIGKILL);
        running.wait(LIMIT);
        for host in &self.stand.hosts.list {
            wait_for("the end of the agents", LIMIT, || {
                let left = host.product_processes();
                for pid in &left {
                    let _ = kill(*pid, Signal::SIGKILL);
                }
                left.is_empty()
            });
        }
        s3.release();
    }
}

fn push(stand: &Stand) -> String {
    let output = stand.damson(&["backup-push"]).ok();
    let (_, rest) = output.stderr.split_once("Wrote backup with name ").unwrap();
    rest.split_whitespace().next().unwrap().to_string()
}

/// Whether a backup that begins now has another name.
fn later(name: &str) -> String {
    let time = name.trim_start_matches("backup_");
    format!("select to_char(clock_timestamp(), 'YYYYMMDD\"T\"HH24MISS\"Z\"') > '{time}'")
}

fn flip_byte(path: &Path) {
    let mut body = std::fs::read(path).unwrap();
    let middle = body.len() / 2;
    body[middle] ^= 1;
    std::fs::write(path, body).unwrap();
}

/// The largest table file: surely in a finished part.
fn a_finished_file(data_dir: &Path) -> std::path::PathBuf {
    let mut files = Vec::new();
    for database in std::fs::read_dir(data_dir.join("base")).unwrap().flatten() {
        files.extend(std::fs::read_dir(database.path()).unwrap().flatten().map(|entry| entry.path()));
    }
    files.into_iter().max_by_key(|path| std::fs::metadata(path).unwrap().len()).unwrap()
}

#[test]
fn a_killed_restore_goes_on_where_it_stopped() {
    let scene = Scene::start("kill");
    let restore = scene.stand.plan_restore("restored");
    scene.kill_in_the_middle(&restore);
    let place = restore.places.iter().find(|place| place.content == 1).unwrap();
    assert!(place.data_dir.join(MARKER).is_file());
    assert!(!place.data_dir.join("global/pg_control").exists(), "no server may start on half a directory");

    // Another backup does not go on with it.
    let message = ["holds an unfinished restore of", "empty the directory"];
    let second = [scene.second.as_str(), "--mode", "unpack", "--content-ids", "1"];
    scene.stand.fetch(&restore, &second).fails(1, &message);
    // Nor does a second restore at the same time.
    let marker = std::fs::File::open(place.data_dir.join(MARKER)).unwrap();
    marker.try_lock().unwrap();
    let message = ["another restore into", place.data_dir.to_str().unwrap(), "is under way", "wait for it"];
    unpack(&scene.stand, &restore, &scene.first).fails(1, &message);
    drop(marker);

    // One file changes, one vanishes, one loses its mode.
    let changed = a_finished_file(&place.data_dir);
    flip_byte(&changed);
    std::fs::remove_file(place.data_dir.join("PG_VERSION")).unwrap();
    let mode: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(place.data_dir.join("postgresql.auto.conf"), mode).unwrap();

    let output = unpack(&scene.stand, &restore, &scene.first).ok();
    assert!(kept(&output, 1) > 0, "{}", output.report());
    assert_same(&scene.expected, &listings(&restore.places));
    // It is finished now: a third run changes nothing, and one on a directory with anything else in it is refused.
    let again = unpack(&scene.stand, &restore, &scene.first).ok();
    assert_eq!(kept(&again, 1), kept(&again, 2), "{}", again.report());
    assert_same(&scene.expected, &listings(&restore.places));
    std::fs::write(place.data_dir.join("foreign"), "").unwrap();
    unpack(&scene.stand, &restore, &scene.first).fails(1, &["must be empty", "restore to another one"]);
}

#[test]
fn a_restore_killed_again_and_again_ends_up_right() {
    let scene = Scene::start("kill-again");
    let restore = scene.stand.plan_restore("restored");
    for _ in 0..3 {
        scene.kill_in_the_middle(&restore);
    }
    let output = unpack(&scene.stand, &restore, &scene.first).ok();
    assert!(kept(&output, 1) > 0, "{}", output.report());
    assert_same(&scene.expected, &listings(&restore.places));
}
