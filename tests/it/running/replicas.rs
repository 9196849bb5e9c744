//! Mirrors and the standby of a restored cluster, made of its running servers.

use std::path::{Path, PathBuf};

use rig::{Stand, User, free_port, load, pg_bin, sql};
use serde_json::{Value, json};

use super::{LIMIT, Restored, kill_at, stand};

/// Greenplum's pg_basebackup in front of PostgreSQL's: it takes the number of the new server and writes it down.
const PG_BASEBACKUP: &str = r#"#!/bin/bash
set -e
while (($#)); do
    case $1 in
        --target-gp-dbid) db_id=$2; shift 2 ;;
        -D) data_dir=$2; args+=(-D "$2"); shift 2 ;;
        *) args+=("$1"); shift ;;
    esac
done
"@BIN@/pg_basebackup" "${args[@]}"
echo "gp_dbid=$db_id" > "$data_dir/internal.auto.conf"
"#;

/// An installation with that program.
fn install(stand: &mut Stand) -> PathBuf {
    let home = stand.scratch.dir("gphome");
    let bin = home.join("bin");
    User::get().make_dir(&bin);
    let pg_bin = pg_bin().display().to_string();
    User::get().write(&bin.join("pg_basebackup"), PG_BASEBACKUP.replace("@BIN@", &pg_bin), 0o755);
    User::get().write(&bin.join("pg_ctl"), format!("#!/bin/sh\nexec {pg_bin}/pg_ctl \"$@\"\n"), 0o755);
    stand.set("GPHOME", home.to_str().unwrap());
    home
}

/// Directories of the replicas, stopped at the end.
struct Replicas(Vec<(i32, String, u16, PathBuf)>);

impl Replicas {
    /// The standby beside the primaries, and every mirror beside the coordinator.
    fn plan(stand: &Stand) -> Replicas {
        let place = |content: i32| {
            let host = &stand.hosts.list[usize::from(content < 0)];
            (content, host.address.to_string(), free_port(), host.dir.join(format!("replicas/gpseg{content}")))
        };
        Replicas([-1, 0, 1].map(place).to_vec())
    }

    /// Names them in the restore config.
    fn add_to(&self, config: &Path) {
        let mut text: Value = serde_json::from_slice(&std::fs::read(config).unwrap()).unwrap();
        for (content, host, port, dir) in &self.0 {
            let place = json!({"hostname": host, "port": port, "data_dir": dir});
            match content {
                -1 => text["standby"] = place,
                _ => text["mirrors"][content.to_string()] = place,
            }
        }
        std::fs::write(config, text.to_string()).unwrap();
    }

    /// As `select content, role, preferred_role, mode, status, port, address, datadir` gives them.
    fn rows(&self) -> String {
        let row = |(content, host, port, dir): &(i32, String, u16, PathBuf)| {
            format!("{content}|m|m|s|u|{port}|{host}|{}", dir.display())
        };
        self.0.iter().map(row).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Replicas {
    fn drop(&mut self) {
        for (.., dir) in self.0.iter().filter(|(.., dir)| dir.join("postmaster.pid").exists()) {
            let _ = User::get()
                .command(pg_bin().join("pg_ctl"))
                .arg("-D")
                .arg(dir)
                .args(["-m", "immediate", "stop"])
                .output();
        }
    }
}

const ROWS: &str = "select content, role, preferred_role, mode, status, port, address, datadir from \
                    gp_segment_configuration where role = 'm' order by content";

/// What is committed on a primary arrives in its replica.
fn is_fed(restored: &Restored, replicas: &Replicas) {
    for (server, (content, _, port, dir)) in restored.servers.iter().zip(&replicas.0) {
        assert_eq!(server.content, *content);
        sql(server, "create table fed as select 41 + 1 as a");
        let lsn = sql(server, "select pg_current_wal_lsn()");
        let port = port.to_string();
        let question = format!("select pg_last_wal_replay_lsn() >= '{lsn}' and pg_is_in_recovery()");
        let ask = |text: &str| {
            let args =
                ["-X", "-A", "-t", "-h", "127.0.0.1", "-p", &port, "-U", "gpadmin", "-d", "postgres", "-c", text];
            User::get().run(pg_bin().join("psql"), &args).trim().to_owned()
        };
        let begin = std::time::Instant::now();
        while ask(&question) != "t" {
            assert!(begin.elapsed() < LIMIT, "content {content} is not fed");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        assert_eq!(ask("select a from fed"), "42");
        let db_id = std::fs::read_to_string(dir.join("internal.auto.conf")).unwrap();
        let in_catalog = format!("select dbid from gp_segment_configuration where role = 'm' and content = {content}");
        assert_eq!(db_id.trim(), format!("gp_dbid={}", sql(&restored.servers[0], &in_catalog)));
        assert!(!dir.join("damson.seeded").exists());
    }
}

/// The restore config names mirrors and a standby: they are there at the end, and a second run finds them.
#[test]
fn gp_029_replicas_that_the_restore_config_names_are_made() {
    let mut stand = stand("replicas");
    install(&mut stand);
    load(&stand.cluster);
    stand.damson(&["backup-push"]).ok();
    stand.cluster.stop_all();
    let restored = Restored::new(&stand, stand.plan_restore("restored"));
    let replicas = Replicas::plan(&stand);
    replicas.add_to(&restored.restore.config);
    stand.fetch(&restored.restore, &["LATEST"]).ok();
    let start = ["cluster-start", "--no-archiving", "--restore-config", restored.config()];

    // Something else lies where a mirror is to be: it is not touched, and the cluster serves without it.
    let (.., dir) = &replicas.0[1];
    User::get().make_dir(dir.parent().unwrap());
    User::get().make_dir(dir);
    User::get().write(&dir.join("precious"), "1", 0o600);
    stand.damson(&start).fails(1, &["content 0", "is not empty", "move it away"]);
    assert_eq!(restored.ask("select pg_is_in_recovery()"), ["f"; 3]);
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), 1);
    std::fs::remove_file(dir.join("precious")).unwrap();

    let started = stand.damson(&start).ok();
    assert!(
        started.stderr.contains("content 1: the mirror on") && started.stderr.contains("made, and up"),
        "{}",
        started.report()
    );
    assert_eq!(sql(&restored.servers[0], ROWS), replicas.rows());
    is_fed(&restored, &replicas);
    let running = |replicas: &Replicas| -> Vec<String> {
        let pid = |dir: &PathBuf| std::fs::read_to_string(dir.join("postmaster.pid")).unwrap();
        replicas.0.iter().map(|(.., dir)| pid(dir).lines().next().unwrap().to_owned()).collect()
    };
    let before = running(&replicas);
    stand.damson(&start).ok();
    assert_eq!(running(&replicas), before);
    assert_eq!(sql(&restored.servers[0], ROWS), replicas.rows());
}

/// Killed in the middle, and failing for want of a program: the next run makes what is missing.
#[test]
fn seeding_is_gone_on_with() {
    let mut stand = stand("replicas-killed");
    let home = install(&mut stand);
    load(&stand.cluster);
    stand.damson(&["backup-push"]).ok();
    stand.cluster.stop_all();
    let restored = Restored::new(&stand, stand.plan_restore("restored"));
    let replicas = Replicas::plan(&stand);
    replicas.add_to(&restored.restore.config);
    let program = home.join("bin/pg_basebackup");
    let whole = std::fs::read_to_string(&program).unwrap();
    User::get().write(&program, "#!/bin/sh\necho no room >&2\nexit 3\n", 0o755);
    let fetched = stand.fetch(&restored.restore, &["LATEST", "--start"]);
    fetched.fails(1, &["DAMSON_SEED_COMMAND failed", "no room"]);
    assert_eq!(restored.ask("select pg_is_in_recovery()"), ["f"; 3]);
    User::get().write(&program, whole, 0o755);
    let start = ["cluster-start", "--restore-config", restored.config()];
    kill_at(&stand, &start, "step: seeding");
    stand.damson(&start).ok_despite(&[super::TWO_CLUSTERS]);
    assert_eq!(sql(&restored.servers[0], ROWS), replicas.rows());
    is_fed(&restored, &replicas);
}
