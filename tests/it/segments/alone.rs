//! `seg backup-push` and `seg backup-fetch`: one segment without its cluster.

use rig::{StandSpec, load, row_sums, tree};

use crate::stands;

#[test]
fn a_segment_is_backed_up_and_restored_by_itself() {
    let stand = stands::small("seg-alone", &StandSpec::default());
    load(&stand.cluster);
    let server = stand.cluster.server(0);
    let before = row_sums(server);
    let (host, port) = (server.address.to_string(), server.port.to_string());
    let place = ["--pghost", &host, "--pgport", &port, "--content-id=0"];
    let data_dir = server.data_dir.to_str().unwrap();
    let seg = |args: &[&str]| stand.damson(&[&["seg"], args].concat());
    seg(&[&["backup-push", data_dir, "--add-user-data", "[1]"], &place[..]].concat()).ok();
    seg(&[&["backup-push", data_dir, "--permanent"], &place[..]].concat()).ok();
    let listed = seg(&["backup-list", "--content-id=0", "--detail", "--json"]).ok().stdout;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((&listed[0]["user_data"], &listed[1]["is_permanent"]), (&serde_json::json!([1]), &true.into()));
    assert!(stands::backups(&stand, &[]).is_empty(), "the cluster has no backup");
    assert!(stand.damson(&["seg", "backup-list", "--content-id=-1"]).ok().stdout.is_empty());

    let target = stand.scratch.join("restored");
    let path = target.to_str().unwrap();
    seg(&["backup-fetch", path, "--target-user-data", "[1]", "--content-id=0"]).ok();
    assert!(tree::list(&target).contains_key("global/pg_control"));
    seg(&["backup-fetch", path, "LATEST", "--content-id=0"]).fails(1, &["must be empty"]);
    seg(&["backup-fetch", path, "--content-id=0"]).fails(1, &["insufficient arguments"]);
    seg(&["backup-push", data_dir]).fails(1, &["segment content ID is not specified"]);
    assert_eq!(row_sums(server), before);
}
