//! Restores to fewer hosts, to where the backup was made, and of tablespaces to new directories.

use std::path::{Path, PathBuf};

use rig::{Place, Restore, Stand, StandSpec, User, free_port, load, restore_config, sql};
use serde_json::{Value, json};

use crate::stands;

/// Coordinator and three primaries of two hosts, all on the first: the restore config alone says so.
#[test]
fn gp_021_segments_of_many_hosts_move_onto_one() {
    let stand = stands::start("onto-one", &StandSpec::default());
    load(&stand.cluster);
    let before = stands::sums(&stand.cluster);
    stand.damson(&["backup-push"]).ok();
    let host = &stand.hosts.list[0];
    let parent = host.dir.join("together");
    User::get().make_dir(&parent);
    let place = |content: i32| Place {
        content,
        host: 0,
        hostname: host.address.to_string(),
        port: free_port(),
        data_dir: parent.join(format!("gpseg{content}")),
    };
    let places: Vec<Place> = stand.cluster.contents().into_iter().map(place).collect();
    let config = stand.scratch.write("together.json", restore_config(&places));
    let restore = Restore { places, config };
    stand.fetch(&restore, &["LATEST"]).ok();
    assert_eq!(stands::sums(&stand.start_restored(&restore)), before);
}

/// Hosts, ports and directories of the sentinel; the directories must be empty first. A restore config beside the flag is not
/// looked at.
#[test]
fn gp_041_in_place() {
    let mut stand = stands::small("in-place", &StandSpec::default());
    load(&stand.cluster);
    let before = stands::sums(&stand.cluster);
    stand.damson(&["backup-push"]).ok();
    stand.cluster.stop_all();
    let fetch = |args: &[&str]| stand.damson(&[&["backup-fetch", "LATEST"], args].concat());
    fetch(&[]).fails(1, &["no restore config", "--restore-config FILE", "--in-place"]);
    fetch(&["--in-place"]).fails(1, &["must be empty", "empty the directory"]);
    for server in &stand.cluster.servers {
        std::fs::remove_dir_all(&server.data_dir).unwrap();
    }
    fetch(&["--in-place", "--content-ids", "5"]).fails(1, &["no content id 5", "-1, 0"]);
    fetch(&["--in-place", "--restore-config", "/nonexistent"]).ok();
    stand.cluster.start_all();
    assert_eq!(stands::sums(&stand.cluster), before);
}

/// A stand whose servers have a table in a tablespace each, and where these lie.
fn with_tablespaces(name: &str) -> (Stand, Vec<PathBuf>) {
    let stand = stands::small(name, &StandSpec::default());
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
    (stand, locations)
}

/// The plan's restore config with `tablespaces` for every segment.
fn moved(stand: &Stand, name: &str, tablespaces: &dyn Fn(&Place) -> Value) -> Restore {
    let restore = stand.plan_restore(name);
    let mut config: Value = serde_json::from_str(&restore_config(&restore.places)).unwrap();
    for place in &restore.places {
        config["segments"][place.content.to_string()]["tablespaces"] = tablespaces(place);
    }
    let config = stand.scratch.write(format!("{name}.json"), config.to_string());
    Restore { config, ..restore }
}

fn new_space(place: &Place, name: &str) -> PathBuf {
    place.data_dir.with_file_name(format!("{name}{}", place.content))
}

/// Beside the running originals, by oid and by the directory that they had.
#[test]
fn tablespaces_move_to_new_directories() {
    let (stand, locations) = with_tablespaces("ts-moved");
    let before = stands::sums(&stand.cluster);
    stand.damson(&["backup-push"]).ok();
    let oid = sql(stand.cluster.coordinator(), "select oid from pg_tablespace where spcname = 'ts'");
    let old = |place: &Place| locations[usize::try_from(place.content + 1).unwrap()].display().to_string();

    let wrong = moved(&stand, "wrong", &|place| json!({"99999": new_space(place, "wrong")}));
    stand.fetch(&wrong, &["LATEST"]).fails(1, &["no tablespace 99999", &oid]);
    assert!(wrong.places.iter().all(|place| !place.data_dir.exists()));
    let beside = stand.plan_restore("beside");
    stand.fetch(&beside, &["LATEST"]).fails(1, &["tablespace directory", "is not empty", "restore config"]);

    let by_oid = moved(&stand, "by-oid", &|place| json!({oid.as_str(): new_space(place, "oid")}));
    let by_place = moved(&stand, "by-place", &|place| json!({old(place): new_space(place, "place")}));
    for (restore, name) in [(by_oid, "oid"), (by_place, "place")] {
        stand.fetch(&restore, &["LATEST"]).ok();
        let restored = stand.start_restored(&restore);
        assert_eq!(stands::sums(&restored), before);
        for place in &restore.places {
            let link = std::fs::read_link(place.data_dir.join("pg_tblspc").join(&oid)).unwrap();
            assert_eq!(link, new_space(place, name));
            assert!(is_clean(&link));
        }
    }
    assert_eq!(stands::sums(&stand.cluster), before);
}

/// Nothing but the server's own folder.
fn is_clean(space: &Path) -> bool {
    let names = std::fs::read_dir(space).unwrap().map(|entry| entry.unwrap().file_name());
    names.into_iter().all(|name| name.to_str().unwrap().starts_with("PG_"))
}
