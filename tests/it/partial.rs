//! Restores of some databases and tables alone.

use rig::{Output, Server, Stand, StandSpec, Workplace, golden, sql_in, try_sql};

use crate::stands;

/// Tables of two databases beside the system's: one table with everything that can hang on it, partitions, and others.
fn fill(stand: &Stand) {
    for server in &stand.cluster.servers {
        for database in ["app", "another db"] {
            sql_in(server, "postgres", &format!("create database \"{database}\""));
            let script = "create table chosen(id serial primary key, b text, c text);
                 insert into chosen(b, c) select md5(g::text), (select string_agg(md5((g + i)::text), '')
                   from generate_series(1, 200) i) from generate_series(1, 500) g;
                 create index chosen_b on chosen(b);
                 create table left_out as select g a from generate_series(1, 500) g;
                 create table part(a int, b text) partition by range (a);
                 create table part_1 partition of part for values from (0) to (100);
                 create table part_2 partition of part for values from (100) to (200);
                 create index on part(a);
                 insert into part select g, 'p' || g from generate_series(0, 199) g;
                 create schema \"Odd.Schema\";
                 create table \"Odd.Schema\".\"Mixed Table\" as select g a from generate_series(1, 50) g;
                 checkpoint";
            sql_in(server, database, script);
        }
    }
}

fn fails_to_read(server: &Server, database: &str, table: &str) {
    let refused = try_sql(server, database, &format!("select count(*) from {table}")).unwrap_err();
    assert!(refused.contains("could not open file"), "{database}/{table}: {refused}");
}

/// Rows, indexes, TOAST and the sequence of the chosen table.
fn is_whole(server: &Server, database: &str) {
    let ask = |text: &str| sql_in(server, database, text);
    assert_eq!(ask("select count(*), sum(length(c)) from chosen"), "500|3200000");
    let by_index = "set enable_seqscan = off; select id from chosen where b = md5('77')";
    assert_eq!(ask(by_index), "77");
    assert_eq!(ask("insert into chosen(b) values ('new') returning id > 500"), "t");
}

#[test]
fn gp_035_gp_036_gp_038_gp_040_pg_030_some_tables_alone() {
    let mut stand = stands::small("partial", &StandSpec::default());
    fill(&stand);
    stand.damson(&["backup-push"]).ok();
    let refused = stand.plan_restore("refused");
    let no = |list: &str, texts: &[&str]| {
        drop(stand.fetch(&refused, &["LATEST", "--restore-only", list]).fails(1, texts));
        assert!(refused.places.iter().all(|place| !place.data_dir.exists()), "{list}");
    };
    no("app/chosn", &["app/public.chosn", "matches nothing", "near names: app/public.chosen"]);
    no("ap", &["\"ap\"", "near names: app"]);
    no("app/.*", &["matches nothing"]);
    no("app/", &["names nothing", "empty"]);

    // A table of one database.
    let restore = stand.plan_restore("table");
    stand.fetch(&restore, &["LATEST", "--restore-only", "app/chosen"]).ok();
    for server in &stand.start_restored(&restore).servers {
        is_whole(server, "app");
        fails_to_read(server, "app", "left_out");
        fails_to_read(server, "app", "part");
        sql_in(server, "postgres", "select count(*) from pg_class");
        sql_in(server, "postgres", "drop database \"another db\"");
    }

    // A whole database with a blank in its name; a partitioned table and an odd name of the other one.
    let restore = stand.plan_restore("mixed");
    let list = r#"anoth"er db",app/part,app/Odd.Schema/Mixed Table"#;
    stand.fetch(&restore, &["LATEST", "--restore-only", list]).ok();
    for server in &stand.start_restored(&restore).servers {
        is_whole(server, "another db");
        assert_eq!(sql_in(server, "another db", "select count(*) from left_out"), "500");
        assert_eq!(sql_in(server, "app", "select count(*) from part"), "200");
        let by_index = "set enable_seqscan = off; select b from part where a = 150";
        assert_eq!(sql_in(server, "app", by_index), "p150");
        assert_eq!(sql_in(server, "app", "select count(*) from \"Odd.Schema\".\"Mixed Table\""), "50");
        fails_to_read(server, "app", "chosen");
    }

    // An unfinished restore of other tables is another restore.
    let unpack = |list: &str| stand.fetch(&restore, &["LATEST", "--mode", "unpack", "--restore-only", list]);
    unpack("app").fails(1, &["must be empty"]);
    single_server(&mut stand);
}

/// The same tree read as that of a single server.
fn single_server(stand: &mut Stand) {
    let segment = stand.store_dir().join("segments_005/seg0");
    let destination = stand.hosts.list[0].dir.join("single");
    let config = stand.scratch.write("single.yaml", format!("WALG_FILE_PREFIX: {}\n", segment.display()));
    let fetch = |list: &str| -> Output {
        let args = ["--config", config.to_str().unwrap(), "backup-fetch", destination.to_str().unwrap(), "LATEST"];
        let args = [&args[..], &["--restore-only", list]].concat();
        stand.product.run(stand.product.command("damson-pg", &args))
    };
    fetch("nope").fails(1, &["\"nope\"", "matches nothing"]);
    fetch("app/chosen").ok();
    let server = stand.cluster.server(0);
    let file = |table: &str| sql_in(server, "app", &format!("select pg_relation_filepath('{table}')"));
    assert!(destination.join(file("chosen")).exists() && destination.join(file("chosen_b")).exists());
    assert!(!destination.join(file("left_out")).exists());
}

/// A backup without names says so.
#[test]
fn gp_037_names_are_needed() {
    let settings = vec![("WALG_DISABLE_PARTIAL_RESTORE".to_string(), "true".to_string())];
    let stand = stands::small("nameless", &StandSpec { settings, ..StandSpec::default() });
    stand.damson(&["backup-push"]).ok();
    let restore = stand.plan_restore("restored");
    let refused = stand.fetch(&restore, &["LATEST", "--restore-only", "postgres"]);
    refused.fails(1, &["no names of databases and tables", "WALG_DISABLE_PARTIAL_RESTORE"]);
    assert!(restore.places.iter().all(|place| !place.data_dir.exists()));
}

/// A delta that WAL-G wrote: the chosen tables out of every backup of the chain, their indexes to be made anew.
#[test]
fn gp_036_tables_of_a_chain() {
    let workplace = Workplace::new("gp6-partial");
    workplace.use_store(&golden::greenplum6(&workplace.scratch), &[]);
    let root = workplace.scratch.dir("restored");
    let place =
        |dir: &str, port: u16| serde_json::json!({"hostname": "localhost", "port": port, "data_dir": root.join(dir)});
    let config =
        serde_json::json!({"segments": {"-1": place("c", 7000), "0": place("s0", 7100), "1": place("s1", 7101)}});
    let config = workplace.scratch.write("rc.json", config.to_string());
    let args = ["backup-fetch", "LATEST", "--restore-config", config.to_str().unwrap()];
    let fetched = workplace.damson(&[&args[..], &["--restore-only", "db1/ao_t,db1/Odd.Schema/Mixed Table"]].concat());
    fetched.ok_despite(&["REINDEX TABLE on db1/Odd.Schema.Mixed Table, db1/public.ao_t"]);
    // ao_t lies in 16431, the mixed table in 16395; heap_t in another, and db2 is 16392.
    let listing = golden::greenplum6_listing(3);
    for (path, _) in listing.iter().filter(|(path, _)| path.starts_with("s0/base/1639")) {
        let name = path.rsplit('/').next().unwrap();
        let number: u32 = name.split(['.', '_']).next().unwrap().parse().unwrap_or(0);
        let is_chosen = path.starts_with("s0/base/16391/") && matches!(number, 16431 | 16395);
        if is_chosen || number == 0 {
            assert!(root.join(path).exists(), "{path} is missing");
        }
        if path.starts_with("s0/base/16392/") && number >= 16384 && name.contains('.') {
            assert!(!root.join(path).exists(), "{path} was not asked for");
        }
    }
    let file = |path: &str| std::fs::metadata(root.join(path)).unwrap().len();
    for path in ["s0/base/16391/16395.129", "s0/base/16391/16431.1"] {
        let rig::tree::Entry::File { size, .. } = listing[path] else { panic!("{path}") };
        assert_eq!(file(path), size, "{path}");
    }
}
