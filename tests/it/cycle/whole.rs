//! The main job: a cluster is backed up over SSH, damaged, and restored to other directories and ports.

use std::path::Path;

use rig::{Stand, StandSpec, damage, load};
use serde_json::{Value, json};

use crate::stands;

/// Every row comes back; the agent is installed by the product; marks and user data end in the sentinels.
#[test]
fn gp_010_021_031_every_row_comes_back() {
    let mut stand = Stand::start("whole", &StandSpec::default());
    load(&stand.cluster);
    let before = stands::sums(&stand.cluster);
    let installed = stand.damson(&["hosts", "install"]).ok();
    assert_eq!(installed.stdout.lines().count(), 2, "{}", installed.report());
    let checked = stand.damson(&["hosts", "check"]).ok();
    assert!(checked.stdout.contains("4 segments on 2 hosts are ready"), "{}", checked.report());
    assert!(stands::backups(&stand, &[]).is_empty());

    stand.damson(&["backup-push", "--permanent", "--add-user-data", r#"{"label":"monday","n":[1,2]}"#]).ok();
    sentinels_say(&stand, json!({"label": "monday", "n": [1, 2]}));
    lists_show_the_backup(&stand);

    damage(&stand.cluster);
    assert_ne!(stands::sums(&stand.cluster), before);
    stand.cluster.stop_all();
    let restored = stand.restore("restored", &["LATEST"]);
    assert_eq!(stands::sums(&restored), before);
    for server in &restored.servers {
        let original = stand.cluster.server(server.content);
        assert!(server.data_dir != original.data_dir && server.port != original.port);
        assert!(!server.data_dir.join(".damson-restore").exists());
    }
}

/// Permanent, with the user data, and tied to the cluster's backup by ids; each with a manifest.
fn sentinels_say(stand: &Stand, user_data: Value) {
    let name = stands::latest(stand);
    let digits = name.strip_prefix("backup_").and_then(|rest| rest.strip_suffix('Z')).expect("WAL-G's form of a name");
    assert!(chrono::NaiveDateTime::parse_from_str(digits, "%Y%m%dT%H%M%S").is_ok(), "{name}");
    let root = stand.store_dir();
    let sentinel = read(&root.join(format!("basebackups_005/{name}_backup_stop_sentinel.json")));
    assert_eq!((&sentinel["is_permanent"], &sentinel["user_data"]), (&json!(true), &user_data));
    assert_eq!(sentinel["restore_point"], json!(name));
    let segments = sentinel["segments"].as_array().unwrap();
    assert_eq!(segments.len(), 4);
    for (segment, server) in segments.iter().zip(&stand.cluster.servers) {
        assert_eq!((&segment["content_id"], &segment["role"]), (&json!(server.content), &json!("p")));
        assert_eq!(segment["data_dir"], json!(server.data_dir));
        assert_eq!((&segment["port"], &segment["hostname"]), (&json!(server.port), &json!(server.address.to_string())));
        let folder = root.join(format!("segments_005/seg{}/basebackups_005", server.content));
        let name = segment["backup_name"].as_str().unwrap();
        let id = json!({"id": segment["backup_id"]});
        let own = read(&folder.join(format!("{name}_backup_stop_sentinel.json")));
        assert_eq!((&own["IsPermanent"], &own["UserData"]), (&json!(true), &id));
        let metadata = read(&folder.join(name).join("metadata.json"));
        assert_eq!((&metadata["is_permanent"], &metadata["user_data"]), (&json!(true), &id));
        assert!(folder.join(name).join("manifest.json.zst").is_file());
    }
}

fn lists_show_the_backup(stand: &Stand) {
    let name = stands::latest(stand);
    let plain = stand.damson(&["backup-list"]).ok().stdout;
    assert!(plain.starts_with("backup_name ") && plain.lines().count() == 2 && plain.contains(&name), "{plain}");
    let pretty = stand.damson(&["backup-list", "--pretty"]).ok().stdout;
    assert!(pretty.contains("| BACKUP NAME ") && pretty.contains(&name), "{pretty}");
    let detail = stand.damson(&["backup-list", "--detail"]).ok().stdout;
    assert!(detail.starts_with("name ") && detail.contains("greenplum (7.1.0)"), "{detail}");
    let detail = stands::backups(stand, &["--detail", "--pretty"]);
    assert_eq!((&detail[0]["Name"], &detail[0]["is_permanent"]), (&json!(name), &json!(true)));
    assert_eq!(detail[0]["user_data"]["label"], json!("monday"));
    let points = stand.damson(&["restore-point-list"]).ok().stdout;
    assert!(points.lines().count() == 2 && points.contains(&name), "{points}");
}

fn read(path: &Path) -> Value {
    let text = std::fs::read(path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()));
    serde_json::from_slice(&text).unwrap()
}
