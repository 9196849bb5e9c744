//! PostgreSQL 15 servers, backed up by WAL-G with each codec.

use std::path::{Path, PathBuf};

use rig::{Place, Server, User, Workplace, free_port, golden, sql};
use serde_json::json;

const FULL: &str = "base_000000010000000000000003";
const DELTA: &str = "base_000000010000000000000005_D_000000010000000000000003";
const QUESTION: &str = "select count(*), md5(string_agg(id||':'||payload, ',' order by id)) from fx_heap";

/// Restores the full backup of a golden tree, starts it on the archived WAL and asks for the rows of its README.
fn restored_rows_are_right(name: &str, settings: &[(&str, &str)]) {
    let workplace = Workplace::new("pg15");
    let fixture = golden::postgres15(&workplace.scratch, name);
    workplace.use_store(&fixture.join("storage"), settings);
    let data_dir = workplace.scratch.join("data");
    let target = data_dir.to_str().unwrap();
    workplace.damson_pg(&["backup-fetch", target, "LATEST"]).fails(1, &[DELTA, "is a delta of", FULL]);
    assert!(!data_dir.exists());

    let spec = restore_spec(&workplace, &fixture);
    let spec_args = spec.iter().flat_map(|path| ["--restore-spec", path.to_str().unwrap()]);
    workplace.damson_pg(&["backup-fetch", target, FULL].into_iter().chain(spec_args).collect::<Vec<_>>()).ok();
    let server = start(&workplace, &data_dir);
    assert_eq!(sql(&server, QUESTION), "3000|1c86b2238a989aa7a043ee432e86a668");
    assert_eq!(sql(&server, "select count(*), count(distinct note) from fx_static"), "1000|1000");
    if spec.is_some() {
        assert_eq!(sql(&server, "select count(*) from fx_ts_tab"), "777");
        let link = std::fs::read_link(data_dir.join("pg_tblspc/16396")).unwrap();
        assert_eq!(link, workplace.scratch.join("tablespace"));
    }
}

/// Only the tree with a tablespace needs one: the recorded place is that of another machine.
fn restore_spec(workplace: &Workplace, fixture: &Path) -> Option<PathBuf> {
    if !fixture.join("restore-spec.json.tmpl").exists() {
        return None;
    }
    let location = workplace.scratch.dir("tablespace");
    let spec = json!({
        "base_prefix": workplace.scratch.join("data"),
        "tablespaces": ["16396"],
        "16396": {"loc": location, "link": "pg_tblspc/16396"}
    });
    Some(workplace.scratch.write("restore-spec.json", spec.to_string()))
}

fn start(workplace: &Workplace, data_dir: &Path) -> Server {
    let (program, config) = (workplace.product.path("damson-pg"), workplace.product.config.display());
    let restore = format!("{} wal-fetch %f %p --config {config}", program.display());
    let settings = [
        ("restore_command", restore.as_str()),
        ("recovery_target", "immediate"),
        ("recovery_target_action", "promote"),
        ("archive_mode", "off"),
        ("fsync", "off"),
    ];
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
