//! Killed while a backup is made.

use super::*;

/// In their order.
const PHASES: [Phase; 7] = [
    Phase { name: "preflight", request: "PUT */seg0/damson-write-probe", work: Some("check") },
    Phase { name: "copying", request: "PUT */seg0/*/tar_partitions/part_", work: Some("push") },
    Phase { name: "leaving backup mode", request: "PUT */seg0/*/tar_partitions/backup_label", work: Some("push") },
    Phase {
        name: "storing a segment's sentinel",
        request: "PUT */seg0/basebackups_005/base_*_backup_stop_sentinel.json",
        work: Some("push"),
    },
    Phase { name: "waiting for the log", request: "PUT */seg0/wal_005", work: None },
    Phase { name: "storing the restore point", request: "_restore_point.json", work: None },
    Phase { name: "storing the sentinel", request: "PUT /rig-bucket/backups/basebackups_005/backup_", work: None },
];

/// Warnings of a push that lost its agent, its server or a connection and went on.
const EXPECTED: [&str; 3] =
    ["are started again", "failed, and is tried once more", "could not be told to leave backup mode"];

/// The agents of a killed coordinator may still be at work: until their time is over a push is refused.
fn push_again(stand: &Stand) {
    let mut last = None;
    wait_for("push that is not refused", SOON, || {
        let output = stand.damson(&["backup-push"]);
        let is_refused = output.status == Some(1) && output.stderr.contains("is under way in this storage");
        last = Some(output);
        !is_refused
    });
    last.unwrap().ok();
}

fn kill_in_every_phase(victim: Victim, name: &str, lease: &str) {
    let mut stand = stand(name, lease);
    let before = stands::sums(&stand.cluster);
    for (number, phase) in PHASES.iter().enumerate() {
        if phase.work.is_none() && matches!(victim, Victim::Agent | Victim::Connection) {
            continue;
        }
        println!("killing the {victim:?} while {}", phase.name);
        let listed = stands::backups(&stand, &[]).len();
        let mut push = stands::held(&stand, &["backup-push"], phase.request);
        strike(&mut stand, victim, &mut push, phase);
        let succeeded = match victim {
            Victim::Agent => push.wait(SOON).ok_despite(&EXPECTED).status == Some(0),
            Victim::Connection => push.wait(SOON).ok().status == Some(0),
            Victim::Coordinator => push.wait(SOON).status == Some(0),
            Victim::Server => {
                stand.cluster.server_mut(0).start();
                let output = push.wait(SOON);
                // It may have come back in time for the second attempt.
                if output.status == Some(0) { output.ok_despite(&EXPECTED) } else { output.fails(1, &["127.0.0.3"]) }
                    .status
                    == Some(0)
            }
        };
        assert_listed_backups_are_whole(&stand);
        assert_eq!(stands::backups(&stand, &[]).len(), listed + usize::from(succeeded), "while {}", phase.name);
        if !succeeded {
            push_again(&stand);
            assert_eq!(stands::backups(&stand, &[]).len(), listed + 1);
        }
        stands::assert_nothing_runs(&mut stand);
        assert_listed_backups_are_whole(&stand);
        let restored = stand.restore(&format!("restored{number}"), &["LATEST"]);
        assert_eq!(stands::sums(&restored), before, "while {}", phase.name);
    }
}

#[test]
fn an_agent_killed_in_any_phase() {
    kill_in_every_phase(Victim::Agent, "kill-agent", "60s");
}

#[test]
fn a_coordinator_killed_in_any_phase() {
    kill_in_every_phase(Victim::Coordinator, "kill-coord", "3s");
}

#[test]
fn a_connection_cut_in_any_phase() {
    kill_in_every_phase(Victim::Connection, "kill-line", "60s");
}

#[test]
fn a_server_crashed_in_any_phase() {
    kill_in_every_phase(Victim::Server, "kill-server", "60s");
}
