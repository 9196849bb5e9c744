//! Restore points between and after backups.

use rig::{Cluster, Stand, StandSpec, sql};

use crate::stands;

/// What each restore must come to, as the largest number in the table of marks.
#[test]
fn gp_022_025_026_027_028_029_047_a_restore_ends_at_its_point() {
    let stand = stands::small("points", &StandSpec::default());
    stand.cluster.servers.iter().for_each(|server| drop(sql(server, "create table marks(a int)")));
    mark(&stand.cluster, 1);
    stand.damson(&["backup-push", "--add-user-data", r#"{"n": 1}"#]).ok();
    let first = stands::latest(&stand);
    mark(&stand.cluster, 2);
    stand.damson(&["create-restore-point", "rp2"]).ok();
    stand.damson(&["create-restore-point", "rp2"]).fails(1, &["rp2 already exists"]);
    mark(&stand.cluster, 3);
    stand.damson(&["create-restore-point", "it's rp3"]).ok();
    mark(&stand.cluster, 4);
    stand.damson(&["backup-push", "--add-user-data", r#"{"n": 2}"#]).ok();
    let second = stands::latest(&stand);
    mark(&stand.cluster, 5);
    stand.damson(&["create-restore-point", "rp5"]).ok();
    stand.cluster.servers.iter().for_each(|server| server.archive_wal());

    let listed = stand.damson(&["restore-point-list"]).ok().stdout;
    let names: Vec<&str> = listed.lines().skip(1).map(|line| line.split("  ").next().unwrap()).collect();
    assert_eq!(names.len(), 5, "{listed}");
    assert!(names[1].starts_with("rp2") && names[2].starts_with("it's rp3"), "{listed}");

    for point in ["rp2", first.as_str()] {
        let document = document(&stand, point);
        let lsns = document["lsn_by_segment"].as_object().unwrap();
        assert!(lsns.keys().eq(["-1", "0"]), "{document}");
    }
    let refused = stand.plan_restore("refused");
    stand.fetch(&refused, &[&second, "--restore-point", "rp2"]).fails(1, &["rp2", &second, "is after"]);
    stand.fetch(&refused, &["--restore-point-ts", "2001-01-01T00:00:00Z"]).fails(1, &["no restore points found"]);
    stand.fetch(&refused, &["--restore-point", "nowhere"]).fails(1, &["nowhere", "restore-point-list"]);
    stand.fetch(&refused, &["backup_20010101T000000Z"]).fails(1, &["does not exist"]);
    stand.fetch(&refused, &["--target-user-data", r#"{"n": 3}"#]).fails(1, &["No backups found"]);
    stand.fetch(&refused, &[&first, "--target-user-data", r#"{"n": 1}"#]).fails(1, &["not both"]);
    assert!(refused.places.iter().all(|place| !place.data_dir.exists()));

    let at_rp3 = finish_time(&stand, "it's rp3");
    let cases: [(&[&str], &str, i32); 8] = [
        (&["LATEST"], &second, 4),
        (&[&first], &first, 1),
        (&["--restore-point", "rp2"], &first, 2),
        (&["--restore-point", "it's rp3"], &first, 3),
        (&["--restore-point-ts", &at_rp3], &first, 3),
        (&["--target-user-data", r#"{"n": 1}"#], &first, 1),
        (&["--target-user-data", r#"{"n": 1.0}"#, "--restore-point", "rp5"], &first, 5),
        (&["--restore-point", "rp5"], &second, 5),
    ];
    for (number, (args, backup, expected)) in cases.into_iter().enumerate() {
        let restore = stand.plan_restore(&format!("r{number}"));
        let fetched = stand.fetch(&restore, args).ok();
        assert!(fetched.stderr.contains(&format!("backup {backup}, recovery to ")), "{}", fetched.report());
        let restored = stand.start_restored(&restore);
        for server in &restored.servers {
            assert_eq!(sql(server, "select max(a), count(*) from marks"), format!("{expected}|{expected}"), "{args:?}");
        }
    }
}

fn mark(cluster: &Cluster, number: i32) {
    for server in &cluster.servers {
        sql(server, &format!("insert into marks values ({number})"));
    }
}

fn document(stand: &Stand, point: &str) -> serde_json::Value {
    let path = stand.store_dir().join(format!("basebackups_005/{point}_restore_point.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn finish_time(stand: &Stand, point: &str) -> String {
    document(stand, point)["finish_time"].as_str().unwrap().to_string()
}
