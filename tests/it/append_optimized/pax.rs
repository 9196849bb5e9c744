//! PAX tables of Cloudberry.

use rig::{Flavor, PaxTable, StandSpec, User};
use serde_json::Value;

use super::{MIB, content, document, name_of, objects, primary, read, restored_alike};
use crate::stands;

/// PAX files of Cloudberry are shared too, where the catalog knows them.
#[test]
fn pax_files_are_shared() {
    let settings = vec![("WALG_GP_PAXFILE_SIZE_THRESHOLD".to_string(), "0".to_string())];
    let stand = stands::small("ao-pax", &StandSpec { flavor: Flavor::Cloudberry2, settings, ..StandSpec::default() });
    let server = primary(&stand);
    let table = PaxTable::create(server, "postgres", "p");
    table.add_block(server, 0, &content(1, 5000), None);
    table.add_block(server, 1, &content(2, 5000), Some(&content(3, MIB)));
    User::get().write(&table.folder(server).join("7"), b"not in the catalog", 0o600);
    stand.damson(&["backup-push"]).ok();
    assert_eq!(objects(&stand, "paxfiles").len(), 3);
    stand.damson(&["backup-push"]).ok();
    assert_eq!(objects(&stand, "paxfiles").len(), 3);
    table.set_visimap(server, 1, "1_2_3.visimap", &content(4, 100));
    stand.damson(&["backup-push"]).ok();
    let names = objects(&stand, "paxfiles");
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(names.iter().all(|name| name.ends_with("_pax") && !name.contains('.')), "{names:?}");
    let files = ["0", "1", "1.toast", "1_2_3.visimap", "7"].map(|name| table.folder(server).join(name));
    let pax = document(&stand, "pax_files_metadata.json");
    let visimap = &pax["Files"][name_of(server, &files[3])];
    assert_eq!((&visimap["Kind"], &visimap["BlockID"]), (&Value::from("visimap"), &Value::from(1)));
    restored_alike(&stand, "r", "LATEST", &read(files));
}
