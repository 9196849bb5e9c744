//! Kill product: an agent, the coordinator, the connection or a database server, killed in every published phase of a push and of
//! a restore. After each: no backup is listed that is not whole, no server is in backup mode, the same command succeeds, and what
//! is restored has the same rows.
//!
//! A phase is a request of it that the rig's S3 server holds back, so that nothing here depends on speed.

mod fetch;
mod push;

use nix::sys::signal::{Signal, kill};
use rig::{Running, Stand, StandSpec, Storage, wait_for};
use serde_json::Value;

use crate::stands::{self, SOON, agent, s3};

/// What is killed. Host and server are the second host and its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Agent,
    Coordinator,
    Connection,
    Server,
}

/// A step of a command: a request that belongs to it, and the kind of job that does it. `None` where the coordinator works alone.
struct Phase {
    name: &'static str,
    request: &'static str,
    work: Option<&'static str>,
}

/// The coordinator and one primary, on two hosts; rows in S3. Agents of a killed coordinator stop after `lease`.
fn stand(name: &str, lease: &str) -> Stand {
    let setting = |name: &str, value: &str| (name.to_string(), value.to_string());
    // Small parts, so that a restore has some behind it when it is killed.
    let settings = vec![setting("DAMSON_LEASE", lease), setting("WALG_TAR_SIZE_THRESHOLD", "4000000")];
    let stand = stands::small(name, &StandSpec { storage: Storage::S3, settings, ..StandSpec::default() });
    rig::load(&stand.cluster);
    stand
}

/// Kills `victim` while `running` is held in `phase`, then lets requests pass.
fn strike(stand: &mut Stand, victim: Victim, running: &mut Running, phase: &Phase) {
    match victim {
        Victim::Agent => kill(agent(&stand.hosts.list[1], phase.work.unwrap()), Signal::SIGKILL).unwrap(),
        Victim::Coordinator => running.signal(Signal::SIGKILL),
        Victim::Connection => {
            wait_for("connection to cut", SOON, || stand.hosts.list[1].cut_connections() > 0);
        }
        Victim::Server => stand.cluster.server_mut(0).crash(),
    }
    if matches!(victim, Victim::Coordinator) {
        wait_for("end of the coordinator", SOON, || !running.is_running());
    }
    s3(stand).release();
}

/// Every segment that a listed backup names has its own sentinel, and every archive part that its list of files names.
fn assert_listed_backups_are_whole(stand: &Stand) {
    let root = stand.store_dir();
    let read = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(root.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))).unwrap()
    };
    for backup in stands::backups(stand, &[]) {
        let backup = backup["backup_name"].as_str().unwrap();
        assert!(root.join(format!("basebackups_005/{backup}_restore_point.json")).is_file(), "{backup}");
        let sentinel = read(&format!("basebackups_005/{backup}_backup_stop_sentinel.json"));
        let segments = sentinel["segments"].as_array().unwrap();
        assert_eq!(segments.len(), stand.cluster.servers.len());
        for segment in segments {
            let (content, name) = (segment["content_id"].as_i64().unwrap(), segment["backup_name"].as_str().unwrap());
            let folder = format!("segments_005/seg{content}/basebackups_005");
            read(&format!("{folder}/{name}_backup_stop_sentinel.json"));
            let files = read(&format!("{folder}/{name}/files_metadata.json"));
            let parts = files["TarFileSets"].as_object().unwrap();
            assert!(!parts.is_empty());
            for part in parts.keys() {
                assert!(root.join(format!("{folder}/{name}/tar_partitions/{part}")).is_file(), "{backup}: {part}");
            }
        }
    }
}
