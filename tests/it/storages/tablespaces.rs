//! Tables in tablespaces. A cluster's restore has no other places for them than the recorded ones, so these must be empty or
//! absent on the host that a segment is restored to.

use rig::{StandSpec, User, sql};

use crate::stands;

#[test]
fn a_table_in_a_tablespace_survives() {
    let mut stand = stands::small("tblspc", &StandSpec::default());
    let mut locations = Vec::new();
    for server in &stand.cluster.servers {
        let location = stand.hosts.list[server.host].dir.join(format!("space{}", server.content));
        User::get().make_dir(&location);
        sql(server, &format!("create tablespace ts location '{}'", location.display()));
        sql(
            server,
            "create table in_space tablespace ts as select g a, md5(g::text) b from generate_series(1, 5000) g",
        );
        locations.push(location);
    }
    let before = stands::sums(&stand.cluster);
    stand.damson(&["backup-push"]).ok();

    // The original's tablespaces are in the way, however often one tries, and are left alone.
    let restore = stand.plan_restore("restored");
    for _ in 0..2 {
        stand.fetch(&restore, &["LATEST"]).fails(1, &["tablespace directory", "is not empty"]);
    }
    assert_eq!(stands::sums(&stand.cluster), before);
    stand.cluster.stop_all();
    stand.cluster.start_all();
    assert_eq!(stands::sums(&stand.cluster), before);

    stand.cluster.stop_all();
    // One is emptied, one removed.
    let contents = std::fs::read_dir(&locations[0]).unwrap().map(|entry| entry.unwrap().path());
    contents.for_each(|path| std::fs::remove_dir_all(path).unwrap());
    std::fs::remove_dir_all(&locations[1]).unwrap();
    stand.fetch(&restore, &["LATEST"]).ok();
    let restored = stand.start_restored(&restore);
    assert_eq!(stands::sums(&restored), before);
    for (server, location) in restored.servers.iter().zip(&locations) {
        let oid = sql(server, "select oid from pg_tablespace where spcname = 'ts'");
        assert_eq!(&std::fs::read_link(server.data_dir.join("pg_tblspc").join(oid)).unwrap(), location);
    }
}
