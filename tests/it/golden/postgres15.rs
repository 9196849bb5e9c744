//! PostgreSQL 15 servers, backed up by WAL-G with each codec.

use std::path::{Path, PathBuf};

use rig::{Place, Server, User, Workplace, free_port, golden, sql};
use serde_json::json;

const FULL: &str = "base_000000010000000000000003";
const QUESTION: &str = "select count(*), md5(string_agg(id||':'||payload, ',' order by id)) from fx_heap";

/// A setting of recovery and its value.
type Target = (&'static str, &'static str);

/// The four restores of the trees' README: backup, recovery target, rows.
const RESTORES: [(&str, Option<Target>, &str); 4] = [
    (FULL, Some(("recovery_target", "immediate")), "3000|1c86b2238a989aa7a043ee432e86a668"),
    ("LATEST", Some(("recovery_target", "immediate")), "3200|6148e206af9e2078ca0a5709e65f6052"),
    ("LATEST", Some(("recovery_target_name", "fx_rp")), "3300|e14031270ba420fa6ae4235f870f32db"),
    ("LATEST", None, "3350|0ca82a06f555d60cc7600cd92c0b9553"),
];

/// Restores the backups of a golden tree, starts each on the archived WAL and asks for the rows of the README.
fn restored_rows_are_right(name: &str, settings: &[(&str, &str)]) {
    let workplace = Workplace::new("pg15");
    let fixture = golden::postgres15(&workplace.scratch, name);
    workplace.use_store(&fixture.join("storage"), settings);
    for (number, (backup, target, rows)) in RESTORES.into_iter().enumerate() {
        let data_dir = workplace.scratch.join(format!("data{number}"));
        let spec = restore_spec(&workplace, &fixture, &data_dir, number);
        let spec_args = spec.iter().flat_map(|path| ["--restore-spec", path.to_str().unwrap()]);
        let args = ["backup-fetch", data_dir.to_str().unwrap(), backup].into_iter().chain(spec_args);
        workplace.damson_pg(&args.collect::<Vec<_>>()).ok();
        let server = start(&workplace, &data_dir, target);
        assert_eq!(sql(&server, QUESTION), rows, "{backup} {target:?}");
        assert_eq!(sql(&server, "select count(*), count(distinct note) from fx_static"), "1000|1000");
        if spec.is_some() {
            assert_eq!(sql(&server, "select count(*) from fx_ts_tab"), "777");
            let link = std::fs::read_link(data_dir.join("pg_tblspc/16396")).unwrap();
            assert_eq!(link, workplace.scratch.join(format!("tablespace{number}")));
        }
    }
}

/// Only the tree with a tablespace needs one: the recorded place is that of another machine.
fn restore_spec(workplace: &Workplace, fixture: &Path, data_dir: &Path, number: usize) -> Option<PathBuf> {
    if !fixture.join("restore-spec.json.tmpl").exists() {
        return None;
    }
    let location = workplace.scratch.dir(format!("tablespace{number}"));
    let spec = json!({
        "base_prefix": data_dir,
        "tablespaces": ["16396"],
        "16396": {"loc": location, "link": "pg_tblspc/16396"}
    });
    Some(workplace.scratch.write("restore-spec.json", spec.to_string()))
}

fn start(workplace: &Workplace, data_dir: &Path, target: Option<(&str, &str)>) -> Server {
    let (program, config) = (workplace.product.path("damson-pg"), workplace.product.config.display());
    let restore = format!("{} wal-fetch %f %p --config {config}", program.display());
    let mut settings = vec![("restore_command", restore.as_str()), ("archive_mode", "off"), ("fsync", "off")];
    if let Some(target) = target {
        settings.extend([target, ("recovery_target_action", "promote")]);
    }
    User::get().write(&data_dir.join("recovery.signal"), "", 0o600);
    let place =
        Place { content: -1, host: 0, hostname: String::new(), port: free_port(), data_dir: data_dir.to_path_buf() };
    let mut server = Server::at(&workplace.scratch, &workplace.hosts, &place, &settings);
    server.superuser = "postgres".to_string();
    server.start();
    server
}

#[test]
fn brotli() {
    restored_rows_are_right("pg15-brotli", &[]);
}

#[test]
fn lz4() {
    restored_rows_are_right("pg15-lz4", &[]);
}

#[test]
fn lz4_with_libsodium() {
    let key = [("WALG_LIBSODIUM_KEY", golden::LIBSODIUM_KEY), ("WALG_LIBSODIUM_KEY_TRANSFORM", "base64")];
    restored_rows_are_right("pg15-lz4-libsodium", &key);
}

#[test]
fn zstd_with_a_tablespace_elsewhere() {
    restored_rows_are_right("pg15-zstd", &[]);
}
