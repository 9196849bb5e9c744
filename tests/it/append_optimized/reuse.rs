//! Which files become objects of their own, and which later backups refer to them.

use rig::{AoKind, AoTable, StandSpec, sql};
use serde_json::Value;

use super::{MIB, content, document, name_of, objects, primary, read, restored_alike};
use crate::stands;

/// Files at the threshold go to the shared folder, smaller ones into the archives, and all come back.
#[test]
fn gp_043_files_from_the_threshold_on_are_shared() {
    let stand = stands::small("ao-threshold", &StandSpec::default());
    let server = primary(&stand);
    let rows = AoTable::create(server, "postgres", "\"Odd.Name\"", AoKind::Row);
    let columns = AoTable::create(server, "postgres", "co", AoKind::Column);
    rows.append(server, 1, &content(1, MIB));
    rows.append(server, 2, &content(2, MIB - 1));
    columns.append(server, 1, &content(3, MIB + 1));
    columns.append(server, 129, &content(4, 100));
    // Rows that were not committed are part of the file.
    columns.append_uncommitted(server, 257, &content(5, 2 * MIB));
    stand.damson(&["backup-push"]).ok();

    let names = objects(&stand, "aosegments");
    assert_eq!(names.len(), 2 + 1, "{names:?}");
    assert!(names.iter().all(|name| name.ends_with("_aoseg") && !name.contains('.')), "{names:?}");
    let ao = document(&stand, "ao_files_metadata.json");
    let entry = &ao["Files"][name_of(server, &rows.file(server, 1))];
    assert_eq!(
        (&entry["StorageType"], &entry["EOF"], &entry["ModCount"], &entry["Size"]),
        (&Value::from(97), &Value::from(MIB), &Value::from(1), &Value::from(MIB))
    );
    let entry = &ao["Files"][name_of(server, &columns.file(server, 257))];
    assert_eq!((&entry["StorageType"], &entry["Size"]), (&Value::from(99), &Value::from(2 * MIB)));
    assert_eq!(entry["EOF"], 0);
    let files = document(&stand, "files_metadata.json");
    let shared = name_of(server, &rows.file(server, 1));
    assert_eq!(files["Files"][&shared]["IsSkipped"], false);
    let in_archives = |name: &str| {
        files["TarFileSets"]
            .as_object()
            .unwrap()
            .values()
            .any(|set| set.as_array().unwrap().iter().any(|member| member == name))
    };
    assert!(!in_archives(&shared));
    assert!(in_archives(&name_of(server, &rows.file(server, 2))));
    assert!(in_archives(&name_of(server, &columns.file(server, 129))));

    let all = [(&rows, 1), (&rows, 2), (&columns, 1), (&columns, 129), (&columns, 257)];
    restored_alike(&stand, "r", "LATEST", &read(all.map(|(table, segment)| table.file(server, segment))));
}

/// Unchanged files are stored once; changed content is stored anew, also where the counters of the catalog say otherwise.
#[test]
fn gp_045_full_backups_share_what_did_not_change() {
    let stand = stands::small("ao-reuse", &StandSpec::default());
    let server = primary(&stand);
    let table = AoTable::create(server, "postgres", "t", AoKind::Row);
    table.append(server, 1, &content(1, 2 * MIB));
    table.append(server, 2, &content(2, 2 * MIB));
    table.append(server, 3, &content(3, 2 * MIB));
    stand.damson(&["backup-push"]).ok();
    let first = objects(&stand, "aosegments");
    assert_eq!(first.len(), 3);
    let first_backup = stands::latest(&stand);

    table.delete(server, 1);
    stand.damson(&["backup-push"]).ok();
    assert_eq!(objects(&stand, "aosegments"), first, "nothing changed but a counter");
    let ao = document(&stand, "ao_files_metadata.json");
    let entry = &ao["Files"][name_of(server, &table.file(server, 1))];
    assert_eq!((&entry["IsSkipped"], &entry["ModCount"]), (&Value::from(true), &Value::from(2)));

    // The same size, the same logical end, the same number of changes, and other bytes.
    let (_, changes) = table.row(server, 2);
    let files = [1, 2, 3].map(|segment| table.file(server, segment));
    let before = read(files.clone());
    table.rewrite(server, 2, &content(20, 2 * MIB), changes);
    table.append(server, 3, &content(30, 1000));
    stand.damson(&["backup-push"]).ok();
    let third = objects(&stand, "aosegments");
    assert_eq!(third.len(), 5, "{third:?}");
    assert!(third.is_superset(&first));
    restored_alike(&stand, "r3", "LATEST", &read(files));
    // The first backup still is what it was.
    restored_alike(&stand, "r1", &first_backup, &before);
}

/// An object older than the limit is stored anew.
#[test]
fn gp_044_old_objects_are_stored_anew() {
    let mut stand = stands::small("ao-age", &StandSpec::default());
    let table = AoTable::create(primary(&stand), "postgres", "t", AoKind::Row);
    table.append(primary(&stand), 1, &content(1, MIB));
    stand.damson(&["backup-push"]).ok();
    stand.damson(&["backup-push"]).ok();
    assert_eq!(objects(&stand, "aosegments").len(), 1);
    stand.set("WALG_GP_AOSEG_DEDUPLICATION_AGE_LIMIT", "1ms");
    stand.damson(&["backup-push"]).ok();
    assert_eq!(objects(&stand, "aosegments").len(), 2);
    restored_alike(&stand, "r", "LATEST", &read([table.file(primary(&stand), 1)]));
}

/// A database whose tables cannot be listed ends the push; its files are not taken for ordinary ones silently.
#[test]
fn an_unreadable_catalog_ends_the_push() {
    let stand = stands::small("ao-unread", &StandSpec::default());
    let server = primary(&stand);
    AoTable::create(server, "postgres", "t", AoKind::Row);
    sql(server, "alter function gp_toolkit.__gp_aoseg(regclass) rename to gone");
    stand.damson(&["backup-push"]).fails(1, &["append-optimized tables of database postgres cannot be listed"]);
    sql(server, "alter function gp_toolkit.gone(regclass) rename to __gp_aoseg");
    stand.damson(&["backup-push"]).ok();
}

/// A table that is dropped while the catalog is asked is no reason to fail.
#[test]
fn a_table_dropped_meanwhile_is_left_out() {
    let stand = stands::small("ao-drop", &StandSpec::default());
    let server = primary(&stand);
    let tables = ["t1", "t2", "t3"].map(|name| {
        let table = AoTable::create(server, "postgres", name, AoKind::Row);
        table.append(server, 1, &content(1, MIB));
        table
    });
    let files = read([tables[0].file(server, 1), tables[2].file(server, 1)]);
    let dropped = sql(server, "select 't2'::regclass::oid");
    sql(
        server,
        &format!(
            "alter function gp_toolkit.__gp_aoseg(regclass) rename to __answer;
             create function gp_toolkit.__gp_aoseg(regclass) returns table(segno int, eof bigint, modcount bigint)
             language plpgsql as $$ begin
               if $1::oid = {dropped} then
                 perform public.dblink_exec('host=127.0.0.1 port={} dbname=postgres user=gpadmin', 'drop table t2');
                 raise exception 'could not open relation with OID {dropped}' using errcode = 'XX000';
               end if;
               return query select a.segno, a.eof, a.modcount from gp_toolkit.__answer($1) a;
             end $$",
            server.port
        ),
    );
    stand.damson(&["backup-push"]).ok();
    assert_eq!(sql(server, "select to_regclass('t2') is null"), "t");
    let ao = document(&stand, "ao_files_metadata.json");
    assert_eq!(ao["Files"].as_object().unwrap().len(), 2, "{ao}");
    restored_alike(&stand, "r", "LATEST", &files);
}
