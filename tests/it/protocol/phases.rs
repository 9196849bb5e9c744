//! A coordinator or an agent killed at every step of a push: never a backup that is listed and not whole, always a next push
//! that succeeds.

use nix::sys::signal::{Signal, kill};

use super::*;

/// The steps, in their order, by a request that belongs to each, and whether agents work in it.
const STEPS: [(&str, &str, bool); 6] = [
    ("preflight", "PUT /rig-bucket/backups/segments_005/seg1/damson-write-probe", true),
    ("copying", COPYING, true),
    ("the sentinel of a segment", "PUT */seg1/basebackups_005/base_*_backup_stop_sentinel.json", true),
    ("waiting for the log", "PUT /rig-bucket/backups/segments_005/seg1/wal_005", false),
    ("storing the restore point", "_restore_point.json", false),
    ("storing the sentinel", "PUT /rig-bucket/backups/basebackups_005/backup_", false),
];

#[test]
fn a_coordinator_killed_at_any_step_leaves_no_half_backup() {
    let stand = stand("steps", "3s");
    for (step, request, _) in STEPS {
        eprintln!("killing the coordinator while {step}");
        let before = cluster_sentinels(&stand);
        let mut push = push_held_at(&stand, request);
        push.signal(Signal::SIGKILL);
        push.wait(SOON);
        s3(&stand).release();
        assert_eq!(cluster_sentinels(&stand), before, "while {step}");
        // At once: the agents of the dead one may still be at work.
        stand.damson(&["backup-push"]).ok();
        assert_eq!(cluster_sentinels(&stand).len(), before.len() + 1);
        assert_nothing_runs(&stand);
        assert_listed_backups_are_whole(&stand);
    }
}

#[test]
fn an_agent_killed_at_any_step_leaves_no_half_backup() {
    let stand = stand("agents", "60s");
    for (step, request, _) in STEPS.into_iter().filter(|(_, _, agents_work)| *agents_work) {
        eprintln!("killing an agent while {step}");
        let before = cluster_sentinels(&stand);
        let push = push_held_at(&stand, request);
        let host = &stand.hosts.list[1];
        let work = if step == "preflight" { "check" } else { "push" };
        kill(jobs(host, work).pop().unwrap().pid(), Signal::SIGKILL).unwrap();
        let output = push.wait(SOON).fails(1, &["127.0.0.3", "the agent process of the job died"]);
        s3(&stand).release();
        assert_eq!(cluster_sentinels(&stand), before, "while {step}: {}", output.report());
        assert_nothing_runs(&stand);
        assert_push_succeeds(&stand);
        assert_listed_backups_are_whole(&stand);
    }
}

/// Every segment that a listed backup names has its own sentinel, and every archive part that its list of files names.
fn assert_listed_backups_are_whole(stand: &Stand) {
    let stored = stored(stand);
    let read = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(stand.store_dir().join(name)).unwrap()).unwrap()
    };
    for sentinel in cluster_sentinels(stand) {
        let segments = read(&sentinel)["segments"].as_array().unwrap().clone();
        assert_eq!(segments.len(), stand.cluster.servers.len());
        for segment in segments {
            let (content, name) = (segment["content_id"].as_i64().unwrap(), segment["backup_name"].as_str().unwrap());
            let folder = format!("segments_005/seg{content}/basebackups_005");
            assert!(stored.contains(&format!("{folder}/{name}_backup_stop_sentinel.json")), "{sentinel}: {content}");
            let files = read(&format!("{folder}/{name}/files_metadata.json"));
            let parts = files["TarFileSets"].as_object().unwrap();
            assert!(!parts.is_empty());
            for part in parts.keys() {
                assert!(stored.contains(&format!("{folder}/{name}/tar_partitions/{part}")), "{sentinel}: {part}");
            }
        }
    }
}
