//! Logs of segments and of the cluster.

use rig::{StandSpec, User};

use crate::stands;

#[test]
fn gp_006_logs_lie_in_the_directory_that_the_settings_name() {
    let mut stand = stands::start("logs-dir", &StandSpec::default());
    // One directory, for all of the rig's hosts are this machine.
    let dir = stand.scratch.dir("gp-logs");
    stand.set("WALG_GP_LOGS_DIR", dir.to_str().unwrap());
    stand.damson(&["backup-push"]).ok();
    for content in [-1, 0, 1, 2] {
        let log = std::fs::read_to_string(dir.join(format!("wal-g-log-seg{content}.log"))).unwrap();
        assert!(log.starts_with("INFO: ") && log.contains(" copying") && log.trim_end().ends_with(" done"), "{log}");
    }
    let log = std::fs::read_to_string(dir.join("wal-g-gplog.log")).unwrap();
    assert!(log.contains("Wrote backup with name"), "{log}");

    // A second run adds to them; one that cannot write them says so, and is a backup all the same.
    let length = log.len();
    stand.damson(&["backup-push"]).ok();
    assert!(std::fs::metadata(dir.join("wal-g-gplog.log")).unwrap().len() > length as u64);
    let file = stand.scratch.join("no-directory");
    User::get().write(&file, "", 0o600);
    stand.set("WALG_GP_LOGS_DIR", file.to_str().unwrap());
    let pushed = stand.damson(&["backup-push"]).ok_despite(&["WALG_GP_LOGS_DIR"]);
    assert!(pushed.stderr.contains("wal-g-log-seg2.log"), "{}", pushed.report());
    assert_eq!(stands::backups(&stand, &[]).len(), 3);
}
