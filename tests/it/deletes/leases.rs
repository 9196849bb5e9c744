//! Pushes and deletions of a cluster keep one another away, whatever the version of the server.

use std::time::Duration;

use rig::{Flavor, S3, Stand, StandSpec, Storage};

use crate::stands;

const LIMIT: Duration = Duration::from_secs(60);

fn s3(stand: &Stand) -> &S3 {
    stand.s3.as_ref().unwrap()
}

/// Starts a command and waits until it asks for something that holds `text`, which it does not get for now.
fn stopped_at(stand: &Stand, args: &[&str], text: &str) -> rig::Running {
    s3(stand).hold(&[text]);
    let before = s3(stand).held().len();
    let mut running = stand.product.spawn_damson(args);
    running.wait_until(&format!("{text} is asked for"), LIMIT, |_| s3(stand).held().len() > before);
    running
}

fn excludes(flavor: Flavor, name: &str) {
    let spec = StandSpec { storage: Storage::S3, flavor, ..StandSpec::default() };
    let stand = stands::small(name, &spec);
    stand.damson(&["backup-push"]).ok();

    let first = stopped_at(&stand, &["backup-push"], "PUT *seg0/*pg_control.tar");
    let pid = format!("process {}", first.pid());
    let stderr = first.stderr();
    let (_, rest) = stderr.split_once("backup backup_").unwrap();
    let backup = format!("backup_{}", rest.split(':').next().unwrap());
    let named = ["another push is under way", backup.as_str(), pid.as_str(), "wait until it has ended"];
    stand.damson(&["backup-push"]).fails(1, &named);
    stand.damson(&["delete", "retain", "FULL", "1", "--confirm"]).fails(1, &named);
    // Without --confirm nothing is changed, so nothing stands in the way.
    stand.damson(&["delete", "retain", "FULL", "1"]).ok();
    s3(&stand).release();
    first.wait(LIMIT).ok();
    assert_eq!(stands::latest(&stand), backup);

    let delete = stopped_at(&stand, &["delete", "retain", "FULL", "1", "--confirm"], "PUT *damson_005/deletes/");
    let pid = format!("process {}", delete.pid());
    let named = ["another delete is under way", "delete retain FULL 1", pid.as_str()];
    stand.damson(&["backup-push"]).fails(1, &named);
    stand.damson(&["delete", "garbage", "--confirm"]).fails(1, &named);
    s3(&stand).release();
    delete.wait(LIMIT).ok();
    assert_eq!(stands::backups(&stand, &[]).len(), 1);
    let leases = stand.store_dir().join("damson_005/leases");
    assert!(std::fs::read_dir(leases).map_or(0, Iterator::count) == 0, "every lease is released");
    stand.restore("restored", &["LATEST"]);
}

#[test]
fn two_at_once_are_refused_on_cloudberry() {
    excludes(Flavor::Cloudberry2, "lease-cb");
}

#[test]
fn two_at_once_are_refused_on_greenplum() {
    excludes(Flavor::Greenplum7, "lease-gp");
}
