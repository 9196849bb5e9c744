//! Who is talking: keys of hosts and of the user.

use rig::{Hosts, User};

use super::*;

/// Host 127.0.0.3 has a primary, so it is reached over SSH; 127.0.0.2 is the coordinator's own.
fn small_stand(name: &str) -> Stand {
    let stand = Stand::start(name, &StandSpec { primaries: vec![0, 1], ..StandSpec::default() });
    stand.damson(&["hosts", "install"]).ok();
    stand
}

/// Takes a host out of known_hosts; its line number there was 2.
fn forget(hosts: &Hosts) {
    let text = std::fs::read_to_string(hosts.known_hosts()).unwrap();
    let others: String =
        text.lines().filter(|line| !line.contains("127.0.0.3")).map(|line| format!("{line}\n")).collect();
    User::get().write(&hosts.known_hosts(), others, 0o600);
}

#[test]
fn a_changed_host_key_is_refused() {
    let mut stand = small_stand("keys");
    stand.hosts.list[1].change_key();
    let file = stand.hosts.known_hosts();
    let name = format!("[127.0.0.3]:{}", stand.hosts.list[1].port);
    let place = format!("{}:2 holds another key", file.display());
    let remedy = format!("ssh-keygen -R '{name}' -f {}", file.display());
    let texts = ["the key of host 127.0.0.3 is not the known one", place.as_str(), remedy.as_str()];
    for policy in ["strict", "accept-new"] {
        stand.set("DAMSON_SSH_HOST_KEYS", policy);
        for command in [&["hosts", "check"][..], &["hosts", "install"], &["backup-push"]] {
            stand.damson(command).fails(1, &texts);
        }
    }
    // What the message says to do.
    User::get().run("ssh-keygen", &["-R", &name, "-f", file.to_str().unwrap()]);
    stand.damson(&["hosts", "check"]).ok();
    assert!(jobs(&stand.hosts.list[1], "push").is_empty());
    assert_nothing_runs(&stand);
}

#[test]
fn an_unknown_host_is_refused_unless_new_ones_are_accepted() {
    let mut stand = small_stand("unknown");
    forget(&stand.hosts);
    let file = stand.hosts.known_hosts();
    let remedy = format!("ssh-keyscan -p {} 127.0.0.3", stand.hosts.list[1].port);
    let texts = ["host 127.0.0.3 is not known: its key", file.to_str().unwrap(), remedy.as_str(), "accept-new"];
    stand.damson(&["hosts", "check"]).fails(1, &texts);
    stand.set("DAMSON_SSH_HOST_KEYS", "strict");
    stand.damson(&["backup-push"]).fails(1, &texts);

    stand.set("DAMSON_SSH_HOST_KEYS", "accept-new");
    stand.damson(&["backup-push"]).ok();
    let recorded = std::fs::read_to_string(&file).unwrap();
    assert_eq!(recorded.matches("[127.0.0.3]").count(), 1, "{recorded}");
    // From now on it is known.
    stand.set("DAMSON_SSH_HOST_KEYS", "strict");
    stand.damson(&["hosts", "check"]).ok();
    assert_nothing_runs(&stand);
}

#[test]
fn a_wrong_user_key_is_refused() {
    let stand = small_stand("login");
    let key = stand.hosts.user_key();
    for file in [key.clone(), key.with_extension("pub")] {
        std::fs::remove_file(file).unwrap();
    }
    User::get().run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", key.to_str().unwrap()]);
    let user = format!("logging in to host 127.0.0.3 as {}", User::get().name);
    stand.damson(&["hosts", "check"]).fails(1, &[&user, key.to_str().unwrap(), "authorized_keys"]);
    stand.damson(&["backup-push"]).fails(1, &[&user]);
    assert!(jobs(&stand.hosts.list[1], "push").is_empty());
    assert_nothing_runs(&stand);
}
