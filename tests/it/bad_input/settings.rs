//! Settings: files that cannot be read, values that mean nothing, ciphers that do not exist.

use std::path::Path;

use rig::{User, Workplace, golden, tree};

use super::refused;

fn write(workplace: &Workplace, text: &str) {
    User::get().write(&workplace.product.config, text, 0o600);
}

#[test]
fn a_broken_settings_file_is_named() {
    let workplace = Workplace::new("settings");
    let path = workplace.product.config.display().to_string();
    refused(workplace.damson(&["backup-list"]), &["cannot read the config file", &path, "No such file"]);
    write(&workplace, "WALG_FILE_PREFIX: [/a\n  b: c");
    refused(workplace.damson(&["backup-list"]), &["cannot parse the config file", &path]);
    write(&workplace, "WALG_FILE_PREFIX:\n  - /a\n");
    refused(workplace.damson(&["backup-list"]), &[&path, "WALG_FILE_PREFIX", "one value is expected"]);
    write(&workplace, "");
    refused(workplace.damson(&["backup-list"]), &["no storage is configured", "WALG_FILE_PREFIX"]);
    workplace.use_new_store("store", &[]);
    workplace.damson(&["backup-list"]).ok();
}

/// A wrong value is told before anything is asked of a server, a host or the storage.
#[test]
fn values_that_mean_nothing_are_named() {
    let workplace = Workplace::new("values");
    let root = workplace.scratch.dir("store");
    let cases: [(&str, &str, &[&str]); 6] = [
        ("WALG_COMPRESSION_METHOD", "lz5", &["lz5", "use lz4, zstd, brotli, lzma or none"]),
        ("WALG_LIBSODIUM_KEY", "short", &["libsodium key", "WALG_LIBSODIUM_KEY"]),
        ("WALG_LIBSODIUM_KEY_PATH", "/nonexistent/key", &["/nonexistent/key", "No such file"]),
        ("WALG_LOG_LEVEL", "LOUD", &["LOUD", "NORMAL, DEVEL or ERROR"]),
        ("DAMSON_LEASE", "soon", &["DAMSON_LEASE", "soon"]),
        ("DAMSON_SSH_HOST_KEYS", "maybe", &["maybe", "DAMSON_SSH_HOST_KEYS"]),
    ];
    for (name, value, texts) in cases {
        workplace.use_store(&root, &[(name, value)]);
        let output = refused(workplace.damson(&["backup-push"]), texts);
        assert!(name != "WALG_LIBSODIUM_KEY" || !output.stderr.contains("short"), "{}", output.report());
    }
    let missing = workplace.scratch.join("no-store");
    workplace.use_store(&missing, &[]);
    refused(
        workplace.damson(&["backup-list"]),
        &[missing.to_str().unwrap(), "does not exist", "must be created first"],
    );
    refused(workplace.damson(&["backup-push"]), &[missing.to_str().unwrap()]);
    User::get().make_dir(&missing);
    workplace.damson(&["backup-list"]).ok();
}

/// A cipher that is asked for and does not exist is refused by whatever would store data: clear text is never written.
#[test]
fn gp_005_a_cipher_that_does_not_exist_is_refused() {
    let workplace = Workplace::new("cipher");
    let root = workplace.scratch.dir("store");
    let log_file = workplace.scratch.write("000000010000000000000001", vec![7; 1 << 20]);
    let push = ["seg", "wal-push", log_file.to_str().unwrap(), "--content-id=0"];
    for name in
        ["WALE_GPG_KEY_ID", "WALG_GPG_KEY_ID", "GPG_KEY_ID", "WALG_PGP_KEY", "WALG_PGP_KEY_PATH", "WALG_CSE_KMS_ID"]
    {
        workplace.use_store(&root, &[(name, "9D0CA8C7")]);
        for args in [&push[..], &["backup-push"], &["backup-list"]] {
            let output = workplace.damson(args);
            if args == ["backup-list"] && output.status == Some(0) {
                continue; // stores nothing
            }
            refused(output, &[name, "nothing is stored in clear text"]);
        }
        assert!(tree::list(&root).is_empty(), "{name}: something was stored");
    }
    workplace.use_store(&root, &[]);
    workplace.damson(&push).ok();
    assert!(!tree::list(&root).is_empty());
}

/// The oldest backup of the golden tree.
const FULL_BACKUP: &str = "base_000000010000000000000003";

/// The right backup with the wrong key, or none: nothing is restored, and the key is named as the reason.
#[test]
fn a_wrong_key_restores_nothing() {
    let workplace = Workplace::new("wrong-key");
    let folder = golden::postgres15(&workplace.scratch, "pg15-lz4-libsodium");
    let target = |name: &str| workplace.scratch.dir("targets").join(name);
    let fetch = |name: &str| workplace.damson_pg(&["backup-fetch", target(name).to_str().unwrap(), FULL_BACKUP]);
    let store = &folder.join("storage");
    let encrypted = |key: &'static str| [("WALG_LIBSODIUM_KEY", key), ("WALG_LIBSODIUM_KEY_TRANSFORM", "base64")];
    let assert_unfinished = |path: &Path| assert!(!path.join("global/pg_control").exists(), "{}", path.display());

    workplace.use_store(store, &encrypted("V0xqtA3Zwu9emhsSlatIiXlMaPa/0lbD9CS8OGdC6QA="));
    refused(fetch("wrong"), &["key"]);
    assert_unfinished(&target("wrong"));
    workplace.use_store(store, &[]);
    refused(fetch("none"), &["basebackups_005/"]);
    assert_unfinished(&target("none"));
    workplace.use_store(store, &encrypted(golden::LIBSODIUM_KEY));
    assert_eq!(fetch("wrong").status, Some(0), "a rerun with the right key");
    assert!(target("wrong").join("global/pg_control").is_file());
}
