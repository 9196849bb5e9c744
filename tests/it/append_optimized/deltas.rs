//! Deltas: what did not change is referred to, what grew gives its tail, all else is stored anew.

use rig::{AoKind, AoTable, StandSpec};
use serde_json::Value;

use super::{MIB, content, document, name_of, objects, primary, read, restored_alike};
use crate::stands;

#[test]
fn gp_016_a_delta_stores_the_tail_of_what_grew() {
    let settings = vec![("WALG_DELTA_MAX_STEPS".to_string(), "5".to_string())];
    let stand = stands::small("ao-delta", &StandSpec { settings, ..StandSpec::default() });
    let server = primary(&stand);
    let table = AoTable::create(server, "postgres", "t", AoKind::Column);
    let segments = [1, 129, 257, 385];
    for segment in segments {
        table.append(server, segment, &content(u64::from(segment), 2 * MIB));
    }
    let files = segments.map(|segment| table.file(server, segment));
    stand.damson(&["backup-push"]).ok();
    let full = objects(&stand, "aosegments");
    let first = (stands::latest(&stand), read(files.clone()));

    // 1 stays; 129 grows; 257 is rewritten to the same logical end and number of changes; 385 is changed and grows.
    table.append(server, 129, &content(2, 5000));
    table.rewrite(server, 257, &content(3, 2 * MIB), 1);
    table.rewrite(server, 385, &content(4, 2 * MIB + 5000), 2);
    stand.damson(&["backup-push"]).ok();
    let delta = objects(&stand, "aosegments");
    assert_eq!(delta.difference(&full).count(), 3, "{delta:?}");
    let ao = document(&stand, "ao_files_metadata.json");
    let entry = |file: &std::path::Path| ao["Files"][name_of(server, file)].clone();
    assert_eq!(entry(&files[0])["IsSkipped"], true);
    assert_eq!(
        (&entry(&files[1])["IsIncremented"], &entry(&files[1])["IsSkipped"]),
        (&Value::from(true), &Value::from(false))
    );
    let increment =
        super::backups_folder(&stand).join("aosegments").join(entry(&files[1])["StoragePath"].as_str().unwrap());
    assert_eq!(std::fs::metadata(increment).unwrap().len(), 20 + 5000);
    for rewritten in &files[2..] {
        assert_eq!(
            (&entry(rewritten)["IsIncremented"], &entry(rewritten)["IsSkipped"]),
            (&Value::Null, &Value::from(false))
        );
    }
    let described = document(&stand, "files_metadata.json");
    let description = &described["Files"][name_of(server, &files[1])];
    assert_eq!((&description["IsIncremented"], &description["IsSkipped"]), (&Value::from(true), &Value::from(false)));
    let second = (stands::latest(&stand), read(files.clone()));

    // Entries are written for what did not change too, so nothing is lost on the way to the next delta.
    table.append(server, 129, &content(5, 700));
    stand.damson(&["backup-push"]).ok();
    let third = (stands::latest(&stand), read(files.clone()));
    assert_eq!(objects(&stand, "aosegments").difference(&delta).count(), 1);
    for (number, (backup, files)) in [first, second, third].iter().enumerate() {
        restored_alike(&stand, &format!("r{number}"), backup, files);
    }
}
