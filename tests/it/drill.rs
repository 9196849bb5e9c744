//! The drill: backups that are proved by being restored, and what is wrong found.

use std::path::PathBuf;

use rig::{Stand, load, sql};
use serde_json::Value;

use crate::running::stand;
use crate::stands;

fn read(path: PathBuf) -> Value {
    let text = std::fs::read(&path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()));
    serde_json::from_slice(&text).unwrap()
}

fn document(stand: &Stand, folder: &str) -> PathBuf {
    stand.store_dir().join(format!("damson_005/{folder}/{}.json", stands::latest(stand)))
}

#[test]
fn a_drill_proves_a_backup_and_cleans_up() {
    let stand = stand("drill");
    load(&stand.cluster);
    stand.damson(&["backup-push", "--row-counts"]).ok();
    let rows = read(document(&stand, "rows"));
    assert_eq!(rows["changed_tables"], 0);
    let tables = rows["segments"]["0"].as_array().unwrap();
    assert_eq!(tables.len(), 4, "{tables:?}");
    assert!(tables.iter().any(|table| table["database"] == "db2" && table["table"] == "t2"), "{tables:?}");
    let counted = tables.iter().find(|table| table["table"] == "heap_t").unwrap();
    assert_eq!(counted["rows"], 20000);

    // Rows that come after the point are none of the backup's.
    sql(stand.cluster.server(0), "insert into heap_t values (0, 'later')");
    let scratch = stand.plan_restore("scratch");
    let config = scratch.config.to_str().unwrap();
    let drill = stand.damson(&["drill", "--restore-config", config]).ok();
    assert!(drill.stderr.contains("drill passed: backup backup_"), "{}", drill.report());
    assert!(drill.stderr.contains("rows of 12 tables compared: 0 differ"), "{}", drill.report());
    assert!(scratch.places.iter().all(|place| !place.data_dir.exists()));
    let proofs = read(document(&stand, "proofs"));
    let proof = &proofs["proofs"][0];
    assert_eq!((&proof["kind"], &proof["ok"]), (&"drill".into(), &true.into()));
    assert!(proof["duration_seconds"].as_f64().unwrap() > 0.0 && proof["bytes"].as_u64().unwrap() > 1 << 20);
    // The servers of the drill archived nothing: no second timeline in the storage.
    let wal = std::fs::read_dir(stand.store_dir().join("segments_005/seg0/wal_005")).unwrap().flatten();
    let names: Vec<String> = wal.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert!(names.iter().all(|name| name.starts_with("00000001")), "{names:?}");
}

#[test]
fn a_drill_finds_rows_that_are_not_those_of_the_backup() {
    let stand = stand("drill-tampered");
    load(&stand.cluster);
    stand.damson(&["backup-push", "--row-counts"]).ok();
    let path = document(&stand, "rows");
    let mut rows = read(path.clone());
    let tables = rows["segments"]["1"].as_array_mut().unwrap();
    tables[0]["sum"] = "1".into();
    tables[1]["rows"] = 7.into();
    tables[2]["table"] = "vanished".into();
    std::fs::write(&path, rows.to_string()).unwrap();
    let scratch = stand.plan_restore("scratch");
    let config = scratch.config.to_str().unwrap();
    let drill = stand.damson(&["drill", "LATEST", "--keep", "--restore-config", config]);
    drill.fails(
        1,
        &["are not those of the backup", "rows instead of 7", "vanished is missing", "drill failed: 3 tables"],
    );
    let proofs = read(document(&stand, "proofs"));
    assert_eq!(
        (&proofs["proofs"][0]["ok"], proofs["proofs"][0]["findings"].as_array().unwrap().len()),
        (&false.into(), 3)
    );
    // Kept, stopped; and not used by another drill.
    assert!(scratch.places.iter().all(|place| place.data_dir.join("PG_VERSION").exists()));
    assert!(scratch.places.iter().all(|place| !place.data_dir.join("postmaster.pid").exists()));
    stand.damson(&["drill", "--restore-config", config]).fails(1, &["is not empty"]);
}

/// The places of the cluster that was backed up are refused, and a backup without counts passes with a warning.
#[test]
fn a_drill_leaves_the_source_alone() {
    let stand = stand("drill-source");
    stand.damson(&["backup-push"]).ok();
    let mut places = stand.plan_restore("scratch").places;
    let restore = stand.plan_restore("other");
    places[1].port = stand.cluster.server(0).port;
    let clash = stand.scratch.write("clash.json", rig::restore_config(&places));
    let refused = stand.damson(&["drill", "--restore-config", clash.to_str().unwrap()]);
    refused.fails(1, &["takes the port or the directory", "of its own"]);
    assert!(places.iter().all(|place| !place.data_dir.exists()));
    let drill = stand.damson(&["drill", "--restore-config", restore.config.to_str().unwrap()]);
    drill.ok_despite(&["the backup has no row counts"]);
}
