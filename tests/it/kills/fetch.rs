//! Killed while a backup is restored. No database server runs then.

use super::*;

const PHASES: [Phase; 4] = [
    Phase {
        name: "reading the segment's documents",
        request: "GET */seg0/basebackups_005/base_*_backup_stop_sentinel.json",
        work: Some("unpack"),
    },
    Phase { name: "unpacking", request: "GET */seg0/*/tar_partitions/part_002", work: Some("unpack") },
    Phase { name: "unpacking the label", request: "GET */seg0/*/tar_partitions/backup_label", work: Some("unpack") },
    Phase { name: "unpacking the control file", request: "GET */seg0/*/pg_control.tar", work: Some("unpack") },
];

fn kill_in_every_phase(victim: Victim, name: &str, lease: &str) {
    let mut stand = stand(name, lease);
    let before = stands::sums(&stand.cluster);
    stand.damson(&["backup-push"]).ok();
    for (number, phase) in PHASES.iter().enumerate() {
        println!("killing the {victim:?} while {}", phase.name);
        let restore = stand.plan_restore(&format!("restored{number}"));
        let args = ["backup-fetch", "LATEST", "--restore-config", restore.config.to_str().unwrap()];
        let mut fetch = stands::held(&stand, &args, phase.request);
        strike(&mut stand, victim, &mut fetch, phase);
        let output = fetch.wait(SOON);
        match victim {
            Victim::Agent => drop(output.ok_despite(&["are started again"])),
            Victim::Connection => drop(output.ok()),
            _ => {
                assert_eq!(output.status, None);
                stands::assert_nothing_runs(&mut stand);
                stand.damson(&args).ok();
            }
        }
        stands::assert_nothing_runs(&mut stand);
        let restored = stand.start_restored(&restore);
        assert_eq!(stands::sums(&restored), before, "while {}", phase.name);
        drop(restored);
    }
}

#[test]
fn an_agent_killed_in_any_phase() {
    kill_in_every_phase(Victim::Agent, "kill-agent-f", "60s");
}

#[test]
fn a_coordinator_killed_in_any_phase() {
    kill_in_every_phase(Victim::Coordinator, "kill-coord-f", "3s");
}

#[test]
fn a_connection_cut_in_any_phase() {
    kill_in_every_phase(Victim::Connection, "kill-line-f", "60s");
}
