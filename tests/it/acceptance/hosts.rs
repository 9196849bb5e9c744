//! What a host of the cluster needs.

use rig::{Stand, StandSpec};

use crate::stands;

/// The agent comes over SSH and runs while a command does; between commands nothing of the product runs, and archiving goes on.
#[test]
fn gp_049_hosts_need_the_agent_and_the_settings_alone() {
    let mut stand = Stand::start("bare", &StandSpec::default());
    rig::load(&stand.cluster);
    let before = stands::sums(&stand.cluster);
    stand.damson(&["hosts", "install"]).ok();
    stands::assert_nothing_runs(&mut stand);
    stand.damson(&["backup-push"]).ok();
    stands::assert_nothing_runs(&mut stand);
    stand.cluster.servers.iter().for_each(|server| server.archive_wal());
    stands::assert_nothing_runs(&mut stand);
    assert_eq!(stands::sums(&stand.restore("restored", &["LATEST"])), before);
}
