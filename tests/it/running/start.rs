//! From a backup to a cluster that serves.

use rig::{load, sql};

use super::{LIMIT, Restored, TWO_CLUSTERS, kill_at, stand};

/// One command: recovered to the point, started at other places, with a catalog that names them. Rows written after the point are
/// absent on every server. A second run changes nothing.
#[test]
fn gp_029_a_restored_cluster_is_started_at_its_point() {
    let mut stand = stand("start");
    load(&stand.cluster);
    mirror_in_the_catalog(&stand);
    stand.damson(&["backup-push"]).ok();
    mark(&stand, 1);
    stand.damson(&["create-restore-point", "it's one"]).ok();
    mark(&stand, 2);
    stand.damson(&["create-restore-point", "two"]).ok();
    stand.cluster.stop_all();

    let restored = Restored::new(&stand, stand.plan_restore("restored"));
    let fetched = stand.fetch(&restored.restore, &["LATEST", "--restore-point", "it's one", "--start"]);
    let fetched = fetched.ok_despite(&[TWO_CLUSTERS]);
    for text in [
        "the cluster is up: coordinator 127.0.0.2:",
        "the mirror on elsewhere:7000 /m: not restored, and no longer in the catalog",
        "gpaddmirrors",
    ] {
        assert!(fetched.stderr.contains(text), "{}", fetched.report());
    }
    assert!(fetched.stderr.contains("a distributed query reached all 2 primaries"), "{}", fetched.report());
    assert_eq!(restored.catalog(), restored.expected_catalog());
    assert_eq!(restored.ask("select max(a), pg_is_in_recovery() from marks"), ["1|f"; 3]);
    assert_eq!(restored.ask("show recovery_target_name"), [""; 3]);
    for (server, port) in restored.servers.iter().zip(restored.ask("show port")) {
        let main = std::fs::read_to_string(server.data_dir.join("postgresql.conf")).unwrap();
        assert!(port == server.port.to_string() && main.contains(&format!("\nport = {port}\n")));
        for gone in ["recovery.signal", "damson.starting"] {
            assert!(!server.data_dir.join(gone).exists(), "{gone}");
        }
    }
    let started = restored.ask("select pg_postmaster_start_time()");
    stand.damson(&["cluster-start", "--restore-config", restored.config()]).ok_despite(&[TWO_CLUSTERS]);
    assert_eq!(restored.ask("select pg_postmaster_start_time()"), started);
}

fn mirror_in_the_catalog(stand: &rig::Stand) {
    let row =
        "insert into gp_segment_configuration values (9, 0, 'm', 'm', 's', 'u', 7000, 'elsewhere', 'elsewhere', '/m')";
    sql(stand.cluster.coordinator(), &format!("set allow_system_table_mods = on; {row}"));
}

fn mark(stand: &rig::Stand, number: i32) {
    for server in &stand.cluster.servers {
        sql(server, &format!("create table if not exists marks(a int); insert into marks values ({number})"));
    }
}

/// Killed at the beginning of each step, the same command always goes on to a cluster that serves.
#[test]
fn a_start_killed_at_any_step_is_gone_on_with() {
    let mut stand = stand("start-killed");
    load(&stand.cluster);
    stand.damson(&["backup-push"]).ok();
    let before = crate::stands::sums(&stand.cluster);
    stand.cluster.stop_all();
    let restored = Restored::new(&stand, stand.plan_restore("restored"));
    stand.fetch(&restored.restore, &["LATEST"]).ok();
    let args = ["cluster-start", "--no-archiving", "--restore-config", restored.config()];
    let steps = [
        "step: starting 3 servers to recover",
        "step: waiting for",
        "step: gp_segment_configuration",
        "step: starting 2 servers to serve",
        "step: starting 1 servers to serve",
        "step: checking",
    ];
    for step in steps {
        // What an earlier step had left to do may have been done by agents before they died.
        let mut running = stand.product.spawn_damson(&args);
        running.wait_until(step, LIMIT, |so_far| so_far.contains(step) || so_far.contains("the cluster is up"));
        drop(running);
        kill_at(&stand, &args, "step: ");
    }
    stand.damson(&args).ok();
    assert_eq!(restored.catalog(), restored.expected_catalog());
    let sums: Vec<_> = restored.servers.iter().map(rig::row_sums).collect();
    assert_eq!(sums, before);
    assert_eq!(restored.ask("show archive_mode"), ["off"; 3]);
}

/// Refusals: nothing is started, and the reason is told.
#[test]
fn what_cannot_be_started_is_told() {
    let mut stand = stand("start-refused");
    stand.damson(&["backup-push"]).ok();
    stand.cluster.stop_all();
    let restored = Restored::new(&stand, stand.plan_restore("restored"));
    let start = ["cluster-start", "--no-archiving", "--restore-config", restored.config()];
    stand.damson(&start).fails(1, &["holds no restored data directory", "backup-fetch"]);
    stand.fetch(&restored.restore, &["LATEST", "--mode", "unpack"]).ok();
    stand.damson(&start).fails(1, &["without recovery settings", "--mode prepare"]);
    stand.fetch(&restored.restore, &["LATEST", "--mode", "prepare"]).ok();
    let action = |action: &str| stand.damson(&["recovery-action", action, "--restore-config", restored.config()]);
    action("bogus").fails(1, &["unknown recovery action: bogus", "promote, pause or shutdown"]);
    for _ in 0..2 {
        action("shutdown").ok();
        let text = std::fs::read_to_string(restored.restore.places[0].data_dir.join("damson.recovery.conf")).unwrap();
        assert_eq!(text.matches("recovery_target_action = 'shutdown'\n").count(), 1, "{text}");
    }
    stand.damson(&start).fails(1, &["recovery_target_action of content -1 is shutdown", "recovery-action promote"]);
    // A server that does not come up shows its own words.
    action("promote").ok();
    let file = restored.restore.places[1].data_dir.join("postgresql.conf");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}nonsense_here = 1\n")).unwrap();
    stand.damson(&start).fails(1, &["content 0", "nonsense_here"]);
    std::fs::write(&file, text).unwrap();
    stand.damson(&start).ok();
    assert_eq!(restored.ask("select pg_is_in_recovery()"), ["f"; 3]);
}

/// Paused servers can be read, and go on when they are told to.
#[test]
fn a_paused_cluster_goes_on() {
    let mut stand = stand("start-paused");
    mark(&stand, 1);
    stand.damson(&["backup-push"]).ok();
    stand.cluster.stop_all();
    let restored = Restored::new(&stand, stand.plan_restore("restored"));
    stand.fetch(&restored.restore, &["LATEST"]).ok();
    let config = restored.config();
    stand.damson(&["recovery-action", "pause", "--restore-config", config]).ok();
    let start = ["cluster-start", "--no-archiving", "--restore-config", config];
    let paused = stand.damson(&start).ok();
    assert!(paused.stderr.contains("3 servers are paused at the restore point"), "{}", paused.report());
    assert_eq!(restored.ask("select max(a), pg_is_in_recovery() from marks"), ["1|t"; 3]);
    stand.damson(&["recovery-action", "promote", "--restore-config", config]).ok();
    stand.damson(&start).ok();
    assert_eq!(restored.ask("select max(a), pg_is_in_recovery() from marks"), ["1|f"; 3]);
}
