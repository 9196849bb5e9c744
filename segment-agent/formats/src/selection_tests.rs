use super::*;
use crate::files::Database;

fn table(oid: u32, sub_tables: &[(&str, Table)]) -> Table {
    let sub_tables = sub_tables.iter().map(|(name, table)| ((*name).to_owned(), table.clone())).collect();
    Table { oid, relfilenode: oid + 1000, sub_tables }
}

fn named(tables: &[(&str, Table)]) -> BTreeMap<String, Table> {
    tables.iter().map(|(name, table)| ((*name).to_owned(), table.clone())).collect()
}

fn names() -> DatabasesByNames {
    let part = table(16401, &[("public.part_1_idx", table(16403, &[]))]);
    let tables = named(&[
        ("pg_catalog.pg_class", table(1259, &[])),
        ("pg_aoseg.pg_aoseg_16500", table(16501, &[])),
        ("public.t", table(16390, &[("public.t_pkey", table(16391, &[]))])),
        ("pg_toast.pg_toast_16390", table(16392, &[])),
        ("pg_toast.pg_toast_16390_index", table(16393, &[])),
        ("public.t2", table(16395, &[])),
        ("Odd.Schema.Mixed Table", table(16397, &[])),
        ("public.part", table(16400, &[("public.part_1", part)])),
    ]);
    let other = named(&[("pg_catalog.pg_class", table(1259, &[])), ("public.t", table(16390, &[]))]);
    DatabasesByNames::from([
        ("my_db".to_owned(), Database { oid: 16384, tables }),
        ("another db".to_owned(), Database { oid: 16385, tables: other.clone() }),
        ("postgres".to_owned(), Database { oid: 5, tables: other }),
    ])
}

fn selection(list: &str) -> Selection {
    Selection::resolve(&Selector::parse_list(list).unwrap(), &names()).unwrap()
}

/// Which of these oids have their file restored in `my_db`.
fn kept(list: &str) -> Vec<u32> {
    let selection = selection(list);
    let oids = [1259, 16390, 16391, 16392, 16393, 16395, 16397, 16400, 16401, 16403, 16501];
    oids.into_iter().filter(|oid| selection.keeps(&format!("/base/16384/{}", oid + 1000))).collect()
}

#[test]
fn gp_039_quotes_are_dropped_and_blanks_count() {
    let forms = [r#"my_db,"another db""#, r#"my_db,another" "db"#, r#"my_db,anoth"e"r" "d"b""#];
    let item = |database: &str| Selector { database: database.to_owned(), table: None };
    for form in forms {
        assert_eq!(Selector::parse_list(form).unwrap(), [item("my_db"), item("another db")], "{form}");
    }
    assert_eq!(Selector::parse_list("a, b").unwrap(), [item("a"), item(" b")]);
}

#[test]
fn gp_036_forms_of_a_table() {
    let parse = |text| Selector::parse_list(text).unwrap().remove(0).table.unwrap();
    for text in ["db/t", "db/public.t", "db/public/t"] {
        assert_eq!(parse(text), "public.t", "{text}");
    }
    assert_eq!(parse("db/Odd.Schema/Mixed Table"), "Odd.Schema.Mixed Table");
    for wrong in ["", "a,,b", "db/", "/t", "db//t", "db/s/t/x", "\"\""] {
        assert!(Selector::parse_list(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_table_brings_along_what_belongs_to_it() {
    let system = [1259, 16501];
    let with_system = |oids: &[u32]| {
        let mut all = [&system, oids].concat();
        all.sort_unstable();
        all
    };
    assert_eq!(kept("my_db/t"), with_system(&[16390, 16391, 16392, 16393]));
    assert_eq!(kept("my_db/part"), with_system(&[16400, 16401, 16403]));
    assert_eq!(kept("my_db/part_1"), with_system(&[16401, 16403]));
    assert_eq!(kept("my_db/t2,my_db/Odd.Schema/Mixed Table"), with_system(&[16395, 16397]));
    assert_eq!(kept("another db"), with_system(&[]));
    assert_eq!(kept("my_db").len(), 11);
    assert_eq!(kept("*").len(), 11);
}

#[test]
fn only_the_star_is_special() {
    assert_eq!(kept("my_db/t*"), kept("my_db/t,my_db/t2"));
    assert_eq!(kept("my*/p*.t2"), kept("my_db/t2"));
    for none in ["my.db", "my_db/.*", "my_db/t[2]", "my_db/T", "nope*", "my_db/nope"] {
        let selectors = Selector::parse_list(none).unwrap();
        assert!(Selection::resolve(&selectors, &names()).is_err(), "{none}");
    }
    for (pattern, text, expected) in [
        ("*", "", true),
        ("a*b*c", "aXbYbZc", true),
        ("a*b*c", "acb", false),
        ("a*a", "a", false),
        ("**", "x", true),
        ("*ü*", "für", true),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}

#[test]
fn near_names_are_told() {
    let error = |list: &str| {
        let selectors = Selector::parse_list(list).unwrap();
        Selection::resolve(&selectors, &names()).unwrap_err().to_string()
    };
    let message = error("my_db/t,mydb");
    assert!(message.contains("\"mydb\"") && message.contains("near names: my_db"), "{message}");
    assert!(error("my_db/other.t2").contains("my_db/public.t2"));
    assert!(!error("zzzzzzzzzzzzzzzz").contains("near"));
}

#[test]
fn files_of_no_chosen_relation_are_told_from_the_others() {
    let selection = selection("my_db/t");
    for path in [
        "/",
        "/global/1262",
        "/base",
        "/base/16384",
        "/base/16384/PG_VERSION",
        "/base/16384/pg_filenode.map",
        "/base/16385/pg_filenode.map",
        "/base/5/99999",
        "/base/16384/17390",
        "/base/16384/17390.1",
        "/base/16384/17390_fsm",
        "base/16384/17390_pax/1.toast",
        "/pg_tblspc/16500/PG_15_202209061/16384/17390",
        "/pg_tblspc/16500/PG_15_202209061/16384",
        "/pg_xact/0000",
    ] {
        assert!(selection.keeps(path), "{path}");
    }
    for path in [
        "/base/16384/17395",
        "/base/16384/17395_vm",
        "/base/16384/17395_pax/1",
        "/base/16385/17390",
        "/base/99999/1",
        "base/16384/17395.2",
        "/pg_tblspc/16500/PG_15_202209061/16384/17395",
    ] {
        assert!(!selection.keeps(path), "{path}");
    }
}
