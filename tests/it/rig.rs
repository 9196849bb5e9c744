//! The rig does what it promises, so that a failing test speaks of the product.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use nix::sys::signal::Signal;
use rig::{Cluster, ClusterSpec, Flavor, Hosts, Process, S3, Scratch, User, golden, sql, sql_in, tree, wait_for};

/// A row of the catalog for each server, the version text, separate identifiers, and the point on every server.
#[test]
fn cluster_answers_as_greenplum() {
    let scratch = Scratch::new("rig-gp");
    let hosts = Hosts::start(&scratch, 2);
    let cluster = Cluster::start(&scratch, &hosts, &ClusterSpec::default());
    assert_eq!(cluster.contents(), [-1, 0, 1, 2]);
    let rows = sql(
        cluster.coordinator(),
        "select dbid, content, role, port, hostname, datadir from gp_segment_configuration order by content",
    );
    let expected: Vec<String> = cluster
        .servers
        .iter()
        .zip(1..)
        .map(|(s, dbid)| format!("{dbid}|{}|p|{}|{}|{}", s.content, s.port, s.address, s.data_dir.display()))
        .collect();
    assert_eq!(rows, expected.join("\n"));
    for server in &cluster.servers {
        assert_eq!(sql(server, "select version()"), Flavor::Greenplum7.version());
    }
    let identifier = |server| sql(server, "select system_identifier from pg_control_system()");
    let identifiers: std::collections::BTreeSet<String> = cluster.servers.iter().map(identifier).collect();
    assert_eq!(identifiers.len(), 4);

    let answer = sql(cluster.coordinator(), "select gp_create_restore_point('rig''s point')::text");
    assert_eq!(answer.lines().count(), 4, "{answer}");
    for (server, line) in cluster.servers.iter().zip(answer.lines()) {
        assert!(line.starts_with(&format!("({},", server.content)), "{line}");
        assert!(server.log_text().contains("restore point \"rig's point\" created"), "{}", server.log_text());
    }
}

/// The other flavor; a database made later has the functions too.
#[test]
fn cluster_answers_as_cloudberry() {
    let scratch = Scratch::new("rig-cb");
    let hosts = Hosts::start(&scratch, 1);
    let spec = ClusterSpec { primaries: vec![1], flavor: Flavor::Cloudberry2, ..ClusterSpec::default() };
    let cluster = Cluster::start(&scratch, &hosts, &spec);
    sql(cluster.coordinator(), "create database later");
    for database in ["postgres", "later"] {
        assert_eq!(sql_in(cluster.coordinator(), database, "select version()"), Flavor::Cloudberry2.version());
        let points = sql_in(cluster.coordinator(), database, "select count(*) from gp_create_restore_point('p')");
        assert_eq!(points, "2");
    }
}

/// What a physical copy with its archived WAL recovers to has the same rows, on another directory and port.
#[test]
fn restored_server_has_the_same_rows() {
    let scratch = Scratch::new("rig-rows");
    let hosts = Hosts::start(&scratch, 1);
    let archive = scratch.dir("archive");
    let copy_to_archive = format!("cp %p {}/%f", archive.display());
    let spec = ClusterSpec {
        primaries: vec![0],
        archive_command: Box::new(move |_| copy_to_archive.clone()),
        ..ClusterSpec::default()
    };
    let cluster = Cluster::start(&scratch, &hosts, &spec);
    rig::load(&cluster);
    let expected = rig::row_sums(cluster.coordinator());
    assert_eq!(expected.len(), 4, "{expected:?}");

    let places = cluster.new_places(&scratch, &hosts, "restored");
    let server = cluster.coordinator();
    let mut copy = User::get().command(rig::pg_bin().join("pg_basebackup"));
    copy.args(["-X", "none", "--no-sync", "--no-verify-checksums", "-c", "fast", "-U", "gpadmin", "-D"])
        .arg(&places[0].data_dir);
    copy.arg("-h").arg(&server.socket_dir).arg("-p").arg(server.port.to_string());
    assert!(copy.status().unwrap().success());
    rig::damage(&cluster);
    assert_ne!(rig::row_sums(server), expected);
    server.archive_wal();

    let recovery = format!("restore_command = 'cp {}/%f %p'\nrecovery_target = 'immediate'\n", archive.display());
    User::get().write(
        &places[0].data_dir.join("postgresql.auto.conf"),
        recovery + "recovery_target_action = promote\n",
        0o600,
    );
    User::get().write(&places[0].data_dir.join("recovery.signal"), "", 0o600);
    let restored = Cluster::start_restored(&scratch, &hosts, &places, &[("archive_mode", "off")]);
    assert_eq!(rig::row_sums(restored.coordinator()), expected);
}

/// The system's ssh reaches every host under its address and name; a session has the host's home and state directory.
#[test]
fn ssh_reaches_every_host() {
    let scratch = Scratch::new("rig-ssh");
    let hosts = Hosts::start(&scratch, 3);
    for (index, host) in hosts.list.iter().enumerate() {
        let said = hosts.ssh(index, "id -un; echo $HOME; pwd; echo $DAMSON_STATE_DIR; echo ${SSH_CONNECTION##* }");
        let (home, state) = (host.home.display(), host.state_dir.display());
        assert_eq!(said, format!("{}\n{home}\n{home}\n{state}\n{}\n", User::get().name, host.port));
    }
    let mut sftp = User::get().command("sftp");
    sftp.arg("-F").arg(hosts.ssh_config()).args(["-b", "-", "sdw1"]).stdin(std::process::Stdio::piped());
    let mut child = sftp.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"pwd\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let home = hosts.list[1].home.display().to_string();
    assert!(said.contains(&home), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

/// Cutting connections ends a session and leaves the listener; a changed key is refused until it is accepted.
#[test]
fn hosts_break_as_asked() {
    let scratch = Scratch::new("rig-cut");
    let mut hosts = Hosts::start(&scratch, 1);
    let ssh = |hosts: &Hosts, command: &str| {
        let mut ssh = User::get().command("ssh");
        ssh.arg("-F").arg(hosts.ssh_config()).arg("sdw0").arg(command);
        ssh.stderr(std::process::Stdio::piped());
        ssh
    };
    let log = scratch.dir("logs").join("session.log");
    let mut session = Process::spawn("session", ssh(&hosts, "sleep 600"), &log, Signal::SIGTERM);
    let host = &hosts.list[0];
    wait_for("connection that runs the command", Duration::from_secs(20), || {
        host.log_text().contains("Starting session: command")
    });
    assert_eq!(host.cut_connections(), 1);
    let status = session.wait(Duration::from_secs(20)).expect("the session should end");
    assert_eq!(status.code(), Some(255));
    assert_eq!(hosts.ssh(0, "echo again"), "again\n");

    hosts.list[0].change_key();
    let refused = ssh(&hosts, "true").output().unwrap();
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(255) && message.contains("IDENTIFICATION HAS CHANGED"), "{message}");
    hosts.write_known_hosts();
    assert_eq!(hosts.ssh(0, "echo accepted"), "accepted\n");

    hosts.list[0].stop();
    let away = ssh(&hosts, "true").output().unwrap();
    assert_eq!(away.status.code(), Some(255));
    hosts.list[0].start();
    assert_eq!(hosts.ssh(0, "echo back"), "back\n");
}

/// The S3 server answers, refuses who has no key, and shows a multipart upload until it ends.
#[test]
fn s3_answers() {
    let scratch = Scratch::new("rig-s3");
    let s3 = S3::start(&scratch);
    let mut socket = TcpStream::connect(("127.0.0.1", s3.port)).unwrap();
    socket.write_all(b"GET /rig-bucket?list-type=2 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("AccessDenied"), "{answer}");
    assert!(s3.bucket_dir().is_dir());
    assert!(s3.unfinished_uploads().is_empty());
}

/// A listing of a tree finds what was removed, changed, added and given another mode.
#[test]
fn listings_show_differences() {
    let scratch = Scratch::new("rig-tree");
    let root = scratch.dir("tree");
    scratch.dir("tree/dir");
    for name in ["same", "changed", "removed", "dir/mode"] {
        scratch.write(format!("tree/{name}"), name);
    }
    let before = tree::list(&root);
    assert_eq!(before["dir"], tree::Entry::Directory { mode: 0o700 });
    tree::assert_same(&before, &tree::list(&root));
    std::fs::remove_file(root.join("removed")).unwrap();
    scratch.write("tree/changed", "CHANGED");
    scratch.write("tree/added", "");
    User::get().write(&root.join("dir/mode"), "dir/mode", 0o640);
    let text = tree::differences(&before, &tree::list(&root));
    let expected = "different   changed: other content\n\
                    different   dir/mode: 8 bytes, mode 600 became 8 bytes, mode 640\n\
                    missing     removed\nunexpected  added";
    assert_eq!(text, expected);
    assert_eq!(tree::without(before, |path| path == "dir").len(), 3);
}

/// Every golden archive unpacks, and keeps its modification times.
#[test]
fn golden_trees_unpack() {
    let scratch = Scratch::new("rig-golden");
    let store = golden::greenplum6(&scratch);
    let mut modified_before = Vec::new();
    for (number, name) in golden::GREENPLUM6_BACKUPS.iter().enumerate() {
        let sentinel = store.join(format!("basebackups_005/{name}_backup_stop_sentinel.json"));
        let modified = std::fs::metadata(&sentinel).unwrap().modified().unwrap();
        modified_before.push(modified);
        let listing = golden::greenplum6_listing(number + 1);
        assert!(listing.len() > 4000 && listing.contains_key("s1/PG_VERSION") && listing.contains_key("c/base"));
    }
    assert!(modified_before.is_sorted() && modified_before[0] < modified_before[2], "{modified_before:?}");
    for name in golden::POSTGRES15 {
        assert!(golden::postgres15(&scratch, name).join("storage/basebackups_005").is_dir());
    }
}
