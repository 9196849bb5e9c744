//! `backup-mark` of a single server's backups, and of a segment's: what WAL-G answered to the same calls.

use std::path::{Path, PathBuf};

use rig::{Workplace, golden};

const FULL: &str = "base_000000010000000000000003";
const DELTA: &str = "base_000000010000000000000005_D_000000010000000000000003";

fn permanent(storage: &Path) -> [bool; 2] {
    [FULL, DELTA].map(|name| {
        let text = std::fs::read(storage.join(format!("basebackups_005/{name}/metadata.json"))).unwrap();
        serde_json::from_slice::<serde_json::Value>(&text).unwrap()["is_permanent"].as_bool().unwrap()
    })
}

fn workplace(name: &str) -> (Workplace, PathBuf) {
    let workplace = Workplace::new(name);
    let storage = golden::postgres15(&workplace.scratch, "pg15-lz4").join("storage");
    workplace.use_store(&storage, &[]);
    (workplace, storage)
}

#[test]
fn pg_063_a_delta_marks_its_chain() {
    let (workplace, storage) = workplace("pg-mark");
    let before = std::fs::read(storage.join(format!("basebackups_005/{DELTA}/metadata.json"))).unwrap();
    let mark = |args: &[&str]| workplace.damson_pg(&[&["backup-mark"], args].concat());
    mark(&[DELTA]).ok();
    assert_eq!(permanent(&storage), [true, true]);
    mark(&[DELTA]).ok_despite(&["is already marked as permanent, ignoring"]);
    mark(&["-i", FULL]).fails(1, &["Can't mark backup", "There is permanent increment backup that depends on this"]);
    assert_eq!(permanent(&storage), [true, true]);
    mark(&["--impermanent", "LATEST"]).ok();
    assert_eq!(permanent(&storage), [true, false]);
    mark(&["-i", FULL]).ok();
    assert_eq!(permanent(&storage), [false, false]);
    mark(&["nosuch"]).fails(1, &["'nosuch' does not exist"]);
    let after = std::fs::read(storage.join(format!("basebackups_005/{DELTA}/metadata.json"))).unwrap();
    assert_eq!(String::from_utf8(before), String::from_utf8(after), "nothing but the mark changes");
    workplace.damson_pg(&["backup-list", "--detail"]).ok();
}
