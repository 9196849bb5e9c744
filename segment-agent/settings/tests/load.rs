//! Settings as a program sees them: precedence, formats, errors, typed values.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use settings::{Encryption, ErrorKind, Kind, LibsodiumKey, Origin, Request, Settings};

/// Loads a config file of this name and content with these variables and flags.
fn load(file: (&str, &str), vars: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Settings, settings::Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file.0);
    std::fs::write(&path, file.1).unwrap();
    let flags = flags.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
    load_path(Some(path), Kind::Greenplum, vars, flags)
}

fn load_path(
    config: Option<PathBuf>,
    kind: Kind,
    vars: &[(&str, &str)],
    flags: Vec<(String, String)>,
) -> Result<Settings, settings::Error> {
    let vars: HashMap<String, String> = vars.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
    Settings::load(&Request { config, flags, kind }, &|name| vars.get(name).cloned())
}

fn from_yaml(text: &str) -> Settings {
    load(("c.yaml", text), &[], &[]).unwrap()
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let file = ("c.yaml", "WALG_COMPRESSION_METHOD: zstd\nWALG_TAR_SIZE_THRESHOLD: 5\nPGHOST: file\nPGUSER: u");
    let vars = [("WALG_COMPRESSION_METHOD", "brotli"), ("PGHOST", ""), ("WALG_TAR_SIZE_THRESHOLD", "6")];
    let settings = load(file, &vars, &[("WALG_COMPRESSION_METHOD", "none")]).unwrap();
    for (name, text, origin) in [
        ("WALG_COMPRESSION_METHOD", "none", Origin::Flag),
        ("WALG_TAR_SIZE_THRESHOLD", "6", Origin::Environment),
        ("PGHOST", "file", Origin::File),
        ("pguser", "u", Origin::File),
        ("WALG_PG_BLOCK_SIZE", "32768", Origin::Default),
    ] {
        assert_eq!((settings.get(name), settings.origin(name)), (Some(text), Some(origin)), "{name}");
        assert_eq!(settings.explicit(name), origin != Origin::Default);
    }
    assert_eq!(settings.lookup()("PGUSER"), Some("u".to_owned()));
    assert!(settings.warnings().is_empty());
}

#[test]
fn every_format_gives_the_same() {
    let toml = "walg_file_prefix = '/b'\nWALG_DELTA_MAX_STEPS = 6\nWALG_TAR_DISABLE_FSYNC = true\nPROFILE_SAMPLING_RATIO = 0.5";
    let yaml =
        "walg_file_prefix: /b\nWALG_DELTA_MAX_STEPS: 6\nWALG_TAR_DISABLE_FSYNC: True\nPROFILE_SAMPLING_RATIO: 0.50";
    let json = r#"{"walg_file_prefix":"/b","WALG_DELTA_MAX_STEPS":6,"WALG_TAR_DISABLE_FSYNC":true,"PROFILE_SAMPLING_RATIO":5e-1}"#;
    let env =
        "walg_file_prefix=/b\nWALG_DELTA_MAX_STEPS=6\nWALG_TAR_DISABLE_FSYNC=true\nPROFILE_SAMPLING_RATIO=\"0.5\"";
    for (name, text) in [
        ("c.toml", toml),
        ("c.yaml", yaml),
        ("c.yml", yaml),
        ("c.YML", yaml),
        ("c.json", json),
        ("c.env", env),
        (".env", env),
        ("c.dotenv", env),
    ] {
        let settings = load((name, text), &[], &[]).unwrap();
        assert_eq!(settings.get("WALG_FILE_PREFIX"), Some("/b"), "{name}");
        assert_eq!(settings.int("WALG_DELTA_MAX_STEPS").unwrap(), Some(6), "{name}");
        assert!(settings.bool("WALG_TAR_DISABLE_FSYNC").unwrap(), "{name}");
        assert_eq!(settings.get("PROFILE_SAMPLING_RATIO"), Some("0.5"), "{name}");
        assert_eq!(settings.float("PROFILE_SAMPLING_RATIO").unwrap(), Some(0.5));
    }
}

#[test]
fn yaml_scalars_are_text() {
    let settings = from_yaml(
        "PGPORT: 010\nPGUSER: yes\nPGPASSWORD: 1e8\nPGDATABASE: ~\nPGHOST: \"a\\r\\n\"\nWALG_TAR_SIZE_THRESHOLD: 1_000",
    );
    assert_eq!(settings.get("PGPORT"), Some("010"));
    assert_eq!(settings.get("PGUSER"), Some("yes"));
    assert_eq!(settings.get("PGPASSWORD"), Some("100000000"));
    assert_eq!(settings.get("PGDATABASE"), None);
    assert_eq!(settings.get("PGHOST"), Some("a"));
    assert_eq!(settings.int("WALG_TAR_SIZE_THRESHOLD").unwrap(), Some(1000));
    assert_eq!(from_yaml("").get("PGPORT"), None);
}

#[test]
fn other_extensions_are_refused_and_the_working_ones_named() {
    for name in ["c.properties", "c.props", "c.prop", "c.ini", "c.hcl", "c.tfvars", "c.conf", "noext"] {
        let error = load((name, "WALG_FILE_PREFIX=/b"), &[], &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::File);
        for works in [name, ".yaml", ".yml", ".json", ".toml", ".env", ".dotenv"] {
            assert!(error.to_string().contains(works), "{error}");
        }
    }
}

#[test]
fn a_broken_file_is_an_error_that_does_not_quote_it() {
    for (name, text) in [
        ("c.json", "{\"PGPASSWORD\": \"hush\",}"),
        ("c.json", "[\"hush\"]"),
        ("c.yaml", "PGPASSWORD: hush\n  x: [hush"),
        ("c.yaml", "hush"),
        ("c.yaml", "PGPASSWORD: hush\nPGPASSWORD: hush"),
        ("c.yaml", "PGPASSWORD: hush\npgpassword: hush"),
        ("c.yaml", "PGPASSWORD: *hush"),
        ("c.yaml", "PGPASSWORD: \"hush"),
        ("c.toml", "PGPASSWORD = hush"),
        ("c.toml", "PGPASSWORD = 'hush'\nPGPASSWORD = 'hush'"),
        ("c.env", "PGPASSWORD hush"),
    ] {
        let error = load((name, text), &[], &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::File);
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(name) && !shown.contains("hush"), "{shown}");
    }
    let missing = load_path(Some("/nonexistent/c.yaml".into()), Kind::Postgres, &[], vec![]).unwrap_err();
    assert!(missing.to_string().contains("/nonexistent/c.yaml: No such file"), "{missing}");
}

#[test]
fn the_file_is_named_by_flag_then_environment() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("flag.env"), "PGHOST=flag").unwrap();
    std::fs::write(path("var.env"), "PGHOST=var").unwrap();
    let var = path("var.env").to_str().unwrap().to_owned();
    let vars = [("WALG_CONFIG_PATH", var.as_str())];
    for kind in [Kind::Greenplum, Kind::Postgres] {
        let by_flag = load_path(Some(path("flag.env")), kind, &vars, vec![]).unwrap();
        assert_eq!((by_flag.get("PGHOST"), by_flag.config_path()), (Some("flag"), Some(path("flag.env").as_path())));
        assert_eq!(load_path(None, kind, &vars, vec![]).unwrap().get("PGHOST"), Some("var"));
        let missing = [("WALG_CONFIG_PATH", "/nonexistent.yaml")];
        assert_eq!(load_path(None, kind, &missing, vec![]).unwrap_err().kind(), ErrorKind::File);
    }
    let none = load_path(None, Kind::Greenplum, &[("WALG_CONFIG_PATH", "")], vec![]).unwrap_err();
    assert_eq!(none.kind(), ErrorKind::Usage);
    assert!(none.to_string().contains("required flag(s) \"config\" not set"));
}

#[test]
fn unknown_keys_are_warnings_with_a_hint() {
    let text = "WALG_FILE_PREFX: /b\nSOME_OTHER: hush\nWALE_FILE_PREFIX: /c\nWALE_GPG_KEY_ID: x\nWALG_S3_SSE_C: y";
    let settings = from_yaml(text);
    let warnings = settings.warnings();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].starts_with("WALG_FILE_PREFX is unknown"), "{warnings:?}");
    assert!(warnings[0].ends_with("did you mean WALG_FILE_PREFIX?"), "{warnings:?}");
    assert!(warnings[1].starts_with("SOME_OTHER is unknown") && !warnings[1].contains("hush"), "{warnings:?}");
    assert_eq!(settings.environment().get("SOME_OTHER").map(String::as_str), Some("hush"));
}

#[test]
fn storage_options_have_three_spellings_and_no_default_here() {
    let settings =
        load(("c.env", ""), &[("WALE_S3_STORAGE_CLASS", "GLACIER"), ("WALE_FILE_PREFIX", "/b")], &[]).unwrap();
    assert_eq!(settings.get("S3_STORAGE_CLASS"), None);
    assert_eq!(settings.get("WALE_S3_STORAGE_CLASS"), Some("GLACIER"));
    assert_eq!(settings.get("WALE_FILE_PREFIX"), Some("/b"));
}

#[test]
fn typed_values() {
    let text = "WALG_GP_SEG_POLL_INTERVAL: 1h30m\nWALG_UPLOAD_CONCURRENCY: 0\nWALG_FAILOVER_STORAGES_CHECK_SIZE: 1mb\n\
                WALG_STOP_BACKUP_TIMEOUT: 300\nWALG_PREVENT_WAL_OVERWRITE: yes\nWALG_LIBSODIUM_KEY: hush";
    let settings = from_yaml(text);
    assert_eq!(settings.duration("WALG_GP_SEG_POLL_INTERVAL").unwrap(), Some(Duration::from_secs(5400)));
    assert_eq!(settings.duration("WALG_GP_SEG_UPD_INTERVAL").unwrap(), Some(Duration::from_secs(10)));
    assert_eq!(settings.bytes("WALG_FAILOVER_STORAGES_CHECK_SIZE").unwrap(), Some(1 << 20));
    assert_eq!(settings.bytes("DAMSON_MEMORY_BUDGET").unwrap(), Some(64 << 20));
    assert_eq!(settings.concurrency("WALG_GP_DELETE_CONCURRENCY", 7).unwrap(), 1);
    assert!(settings.path("DAMSON_STATE_DIR").unwrap().is_absolute());
    for error in [
        settings.concurrency("WALG_UPLOAD_CONCURRENCY", 1).map(drop).unwrap_err(),
        settings.duration("WALG_STOP_BACKUP_TIMEOUT").map(drop).unwrap_err(),
        settings.bool("WALG_PREVENT_WAL_OVERWRITE").map(drop).unwrap_err(),
        settings.int("WALG_LIBSODIUM_KEY").map(drop).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Value);
        assert!(!format!("{error} {error:?}").contains("hush"));
    }
}

#[test]
fn nested_settings_stay_apart() {
    let text = "WALG_FAILOVER_STORAGES:\n  TEST_storage:\n    walg_file_prefix: /f\n    S3_MAX_RETRIES: 3\n\
                WALG_STATSD_EXTRA_TAGS:\n  Env: prod\n  n: 1\n\
                S3_REQUEST_ADDITIONAL_HEADERS:\n  X-A: b\nPGHOST: h";
    let settings = from_yaml(text);
    let storage = &settings.failover_storages()["test_storage"];
    assert_eq!((storage["WALG_FILE_PREFIX"].as_str(), storage["S3_MAX_RETRIES"].as_str()), ("/f", "3"));
    let tags = settings.statsd_extra_tags().unwrap();
    assert_eq!((tags["Env"].as_str(), tags["n"].as_str()), ("prod", "1"));
    assert_eq!(settings.get("S3_REQUEST_ADDITIONAL_HEADERS"), Some(r#"{"X-A":"b"}"#));
    let names: Vec<_> = settings.environment().into_keys().collect();
    assert_eq!(names, ["PGHOST", "S3_REQUEST_ADDITIONAL_HEADERS"]);

    let toml = "[WALG_FAILOVER_STORAGES.second]\nWALG_FILE_PREFIX = '/s'";
    assert_eq!(load(("c.toml", toml), &[], &[]).unwrap().failover_storages().len(), 1);
    let tags = [("WALG_STATSD_EXTRA_TAGS", "{\"a\":\"b\"}")];
    assert_eq!(load(("c.env", ""), &tags, &[]).unwrap().statsd_extra_tags().unwrap()["a"], "b");
    for wrong in ["PGHOST: [a, b]", "WALG_FAILOVER_STORAGES: hush", "WALG_FAILOVER_STORAGES: {a: hush}"] {
        let error = load(("c.yaml", wrong), &[], &[]).unwrap_err();
        assert!(!error.to_string().contains("hush"), "{error}");
    }
}

#[test]
fn encryption_in_the_order_of_choice() {
    let of = |text: &str| from_yaml(text).encryption();
    assert_eq!(of("").unwrap(), Encryption::None);
    for name in ["WALG_GPG_KEY_ID", "WALE_GPG_KEY_ID", "GPG_KEY_ID", "WALG_PGP_KEY", "WALG_PGP_KEY_PATH"] {
        let both = format!("{name}: x\nWALG_LIBSODIUM_KEY: y\nWALG_CSE_KMS_ID: z");
        assert_eq!(of(&both).unwrap(), Encryption::Unsupported(name.to_owned()));
    }
    for name in ["WALG_ENVELOPE_PGP_KEY", "WALG_ENVELOPE_PGP_KEY_PATH", "WALG_CSE_KMS_ID", "YC_CSE_KMS_KEY_ID"] {
        assert_eq!(of(&format!("{name}: x\nWALG_LIBSODIUM_KEY: y")).unwrap(), Encryption::Unsupported(name.to_owned()));
    }
    assert!(of("WALG_PGP_KEY: x\nWALG_ENVELOPE_PGP_KEY: y").is_err());
    let path = Encryption::Libsodium { key: LibsodiumKey::Path("/k".into()), transform: "hex".to_owned() };
    assert_eq!(of("WALG_LIBSODIUM_KEY_PATH: /k\nWALG_LIBSODIUM_KEY_TRANSFORM: hex").unwrap(), path);
    assert!(of("WALG_LIBSODIUM_KEY: hush\nWALG_LIBSODIUM_KEY_TRANSFORM: rot13").is_err());
}

#[test]
fn secrets_are_never_shown() {
    let settings =
        from_yaml("PGPASSWORD: hush\nWALE_S3_SSE_C: hush\nPGPASWORD: hush\nWALG_LIBSODIUM_KEY: hush\nPGHOST: seen");
    let shown = format!("{settings:?} {:?} {:?}", settings.encryption(), settings.warnings());
    assert!(shown.contains("seen") && shown.contains("***") && !shown.contains("hush"), "{shown}");
}

/// The names of WAL-G's settings, by `wal_g_settings.txt`. An unknown one would be warned of.
#[test]
fn gp_002_every_setting_of_wal_g_is_known() {
    let names: Vec<&str> = include_str!("wal_g_settings.txt").lines().collect();
    assert!(names.len() > 220);
    for name in names {
        assert!(settings::find(name).is_some(), "{name}");
    }
}

/// As the manual of WAL-G for Greenplum prints it; what the key means is another question (row 5).
#[test]
fn gp_004_the_sample_file_is_read_without_a_complaint() {
    let sample = "PGDATABASE: \"postgres\"\nWALE_S3_PREFIX: \"s3://bucket/path\"\nPGPASSFILE: \"/home/gpadmin/.pgpass\"\n\
                  WALG_GP_LOGS_DIR: \"/var/log/greenplum\"\nAWS_ACCESS_KEY_ID: \"key\"\nWALE_GPG_KEY_ID: \"9D0CA8C7\"\n\
                  PGUSER: \"gpadmin\"\nPGHOST: \"localhost\"\nAWS_ENDPOINT: \"https://s3.example.org\"\n\
                  AWS_SECRET_ACCESS_KEY: \"secret\"\n";
    let settings = from_yaml(sample);
    assert_eq!(settings.warnings(), [""; 0]);
    for line in sample.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        assert_eq!(settings.get(name), Some(value.trim_matches('"')), "{name}");
    }
}
