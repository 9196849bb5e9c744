//! `hosts install` and `hosts check`.

use rig::User;

use super::*;

/// A primary on each of three hosts, the coordinator on the first; no agent is installed.
fn three_hosts(name: &str) -> Stand {
    Stand::start(name, &StandSpec { primaries: vec![1, 1, 1], ..StandSpec::default() })
}

#[test]
fn agents_are_installed_under_a_name_with_their_version() {
    let mut stand = three_hosts("install");
    let version = stand.product.run(stand.product.command("damson-agent", &["--version"])).ok().stdout;
    let version = version.trim().rsplit(' ').next().unwrap().to_string();
    let remedy = format!("damson hosts install --config {}", stand.product.config.display());
    let missing = |host: &str| format!("host {host} has no damson-agent {version} that can be run");
    stand.damson(&["hosts", "check"]).fails(1, &[&missing("127.0.0.3"), &missing("127.0.0.4"), &remedy]);

    // The second time over one that is there.
    for _ in 0..2 {
        let output = stand.damson(&["hosts", "install"]).ok();
        for host in &stand.hosts.list[1..] {
            let path = host.home.join(format!(".local/lib/damson/damson-agent-{version}"));
            assert!(output.stdout.contains(path.to_str().unwrap()), "{}", output.report());
            let names: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().flatten().collect();
            assert_eq!(names.len(), 1, "nothing but the agent is left: {names:?}");
            let installed = User::get().run(&path, &["--version"]);
            assert!(installed.trim().ends_with(&version), "{installed}");
        }
    }
    let output = stand.damson(&["hosts", "check"]).ok();
    assert!(output.stdout.contains("4 segments on 3 hosts are ready"), "{}", output.report());

    // An agent of another release is never talked to.
    let other = stand.scratch.join("other-agent");
    let hello = r#"{"hello":{"version":"0.0.1","protocol":1,"host":"sdw","unix_nanos":0}}"#;
    let marker = stand.scratch.join("asked");
    let script = format!("#!/bin/sh\necho '{hello}'\nread -r request && echo \"$request\" > {}\n", marker.display());
    User::get().write(&other, script, 0o755);
    stand.set("DAMSON_AGENT_PATH", other.to_str().unwrap());
    let refused =
        |host: &str| format!("the agent on host {host} is version 0.0.1 (protocol 1), this is version {version}");
    for command in ["hosts check", "backup-push"] {
        let words: Vec<&str> = command.split(' ').collect();
        stand.damson(&words).fails(1, &[&refused("127.0.0.3"), &refused("127.0.0.4"), &remedy]);
    }
    assert!(!marker.exists(), "{}", std::fs::read_to_string(&marker).unwrap());
    assert_nothing_runs(&stand);
}

/// One run names everything that is wrong, with its place and what to do.
#[test]
fn every_failure_of_every_host_is_told_at_once() {
    let mut stand = three_hosts("check");
    stand.damson(&["hosts", "install"]).ok();
    stand.cluster.coordinator().set("archive_command", "");
    let dir = stand.cluster.server(1).data_dir.clone();
    let version = std::fs::read(dir.join("PG_VERSION")).unwrap();
    std::fs::remove_file(dir.join("PG_VERSION")).unwrap();
    stand.hosts.list[2].stop();
    stand.set("DAMSON_CONNECT_TIMEOUT", "5s");
    let lost = format!("{} is no data directory: it has no PG_VERSION", dir.display());
    let texts = [
        "host 127.0.0.2, content -1: the server at ",
        "archive_command is not set",
        "set archive_command = 'damson seg wal-push",
        "host 127.0.0.3, content 1: ",
        &lost,
        "gp_segment_configuration",
        "host 127.0.0.4: connecting to host 127.0.0.4 at 127.0.0.4:",
        "host 127.0.0.4: check that the host is up",
        "3 checks failed on 3 hosts; nothing was started",
    ];
    stand.damson(&["hosts", "check"]).fails(1, &texts);
    stand.damson(&["backup-push"]).fails(1, &texts);
    assert!(jobs(&stand.hosts.list[0], "push").is_empty());

    User::get().write(&dir.join("PG_VERSION"), version, 0o600);
    stand.hosts.list[2].start();
    let command = stand.product.archive_command(-1);
    stand.cluster.coordinator().set("archive_command", &command);
    stand.damson(&["hosts", "check"]).ok();
    stand.damson(&["backup-push"]).ok();
    assert_nothing_runs(&stand);
}
