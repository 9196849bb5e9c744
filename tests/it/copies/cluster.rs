//! A cluster of running servers: the copy reaches as far as it promises.

use rig::{Stand, StandSpec, sql};

use crate::stands;

fn mark(stand: &Stand, number: i32) {
    stand.cluster.servers.iter().for_each(|server| drop(sql(server, &format!("insert into marks values ({number})"))));
}

/// With its history, a copy is restored to a point after the backup; without, to the backup's own.
#[test]
fn st_021_a_copy_recovers_to_its_restore_points() {
    let mut stand = stands::small("copies", &StandSpec::default());
    stand.cluster.servers.iter().for_each(|server| drop(sql(server, "create table marks(a int)")));
    mark(&stand, 1);
    stand.damson(&["backup-push"]).ok();
    let backup = stands::latest(&stand);
    mark(&stand, 2);
    stand.damson(&["create-restore-point", "later"]).ok();
    mark(&stand, 3);
    stand.cluster.servers.iter().for_each(rig::Server::archive_wal);

    let from = stand.product.config.to_str().unwrap().to_owned();
    let config = |name: &str| {
        let root = stand.scratch.dir(name);
        let path =
            stand.scratch.write(format!("{name}.json"), serde_json::json!({"WALG_FILE_PREFIX": root}).to_string());
        (root.to_str().unwrap().to_owned(), path.to_str().unwrap().to_owned())
    };
    let (plain, history) = (config("plain"), config("history"));
    stand.damson(&["copy", "-f", &from, "-t", &plain.1]).ok();
    stand.damson(&["copy", "-f", &from, "-t", &history.1, "-b", "LATEST", "-w"]).ok();
    std::fs::remove_dir_all(stand.store_dir()).unwrap();
    stand.cluster.stop_all();

    stand.set("WALG_FILE_PREFIX", &plain.0);
    let points = stand.damson(&["restore-point-list"]).ok().stdout;
    assert!(points.lines().count() == 2 && points.contains(&backup), "{points}");
    let restored = stand.restore("plain-restored", &["LATEST"]);
    restored.servers.iter().for_each(|server| assert_eq!(sql(server, "select max(a) from marks"), "1"));

    stand.set("WALG_FILE_PREFIX", &history.0);
    let points = stand.damson(&["restore-point-list"]).ok().stdout;
    assert!(points.lines().count() == 3 && points.contains("later"), "{points}");
    let restored = stand.restore("history-restored", &["--restore-point", "later"]);
    restored.servers.iter().for_each(|server| assert_eq!(sql(server, "select max(a) from marks"), "2"));
}
