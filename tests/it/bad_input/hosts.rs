//! Hosts that cannot be reached, do not let us in, or lack what every host needs.

use rig::{Stand, StandSpec, User};

use super::{assert_no_backup, refused};
use crate::stands;

/// Address of the second host, as every message names it.
const SECOND: &str = "127.0.0.3";

#[test]
fn hosts_that_cannot_be_reached_are_named() {
    let mut stand = stands::small("unreachable", &StandSpec::default());
    stand.hosts.list[1].stop();
    let texts = [SECOND, "connecting to host", "refused", "check that the host is up"];
    refused(stand.damson(&["backup-push"]), &texts);
    refused(stand.damson(&["hosts", "check"]), &texts);
    stand.damson(&["hosts", "install"]).fails(1, &texts);
    stand.hosts.list[1].start();

    let key = stand.hosts.user_key();
    let (kept, public) = (std::fs::read(&key).unwrap(), key.with_extension("pub"));
    std::fs::remove_file(&key).unwrap();
    std::fs::rename(&public, key.with_extension("kept")).unwrap();
    User::get().run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", key.to_str().unwrap()]);
    let texts = [SECOND, "logging in to host", key.to_str().unwrap(), "authorized_keys"];
    refused(stand.damson(&["backup-push"]), &texts);
    User::get().write(&key, kept, 0o600);
    std::fs::rename(key.with_extension("kept"), &public).unwrap();

    assert_no_backup(&stand);
    stand.damson(&["backup-push"]).ok();
}

/// The settings are read on every host. A path that leads through each process's own directory gives every host its own file.
#[test]
fn gp_003_a_host_without_the_settings_file_is_named() {
    let stand = stands::small("no-config", &StandSpec::default());
    let home = |host: usize| stand.hosts.list[host].home.clone();
    let text = std::fs::read(&stand.product.config).unwrap();
    User::get().write(&home(0).join("cluster.yaml"), &text, 0o600);
    let path = "/proc/self/cwd/cluster.yaml";
    let push = |stand: &Stand| {
        let mut command = stand.product.command("damson", &["--config", path, "backup-push"]);
        command.current_dir(home(0));
        stand.product.run(command)
    };
    refused(push(&stand), &[SECOND, "cannot read the config file", path, "No such file"]);
    User::get().write(&home(1).join("cluster.yaml"), "WALG_FILE_PREFIX: [", 0o600);
    refused(push(&stand), &[SECOND, "cannot parse the config file", path]);
    assert_no_backup(&stand);
    User::get().write(&home(1).join("cluster.yaml"), &text, 0o600);
    push(&stand).ok();
}

#[test]
fn a_host_without_an_agent_is_told_the_command_that_mends_it() {
    let stand = Stand::start("no-agent", &StandSpec { primaries: vec![0, 1], ..StandSpec::default() });
    let texts = [SECOND, "no damson-agent", "damson hosts install --config"];
    refused(stand.damson(&["backup-push"]), &texts);
    stand.damson(&["hosts", "install"]).ok();
    stand.damson(&["backup-push"]).ok();
}
