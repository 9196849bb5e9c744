//! What the plugin's configuration may say.

use super::{Bench, Place, STAMP, key, noise, pair, write_config};

#[test]
fn plg_003_plg_004_plg_005_options_of_gpbackup_and_unknown_ones_are_taken() {
    let more = [("pgport", "6000"), ("backup_plugin_version", ""), ("replication", "off"), ("surplus", "1")];
    let bench = Bench::with("options", Place::File, &more);
    bench.store(&key(STAMP, "f"), b"rows");
    assert_eq!(bench.restore(&key(STAMP, "f")).unwrap(), b"rows");
}

#[test]
fn plg_006_a_configuration_that_is_not_there_or_none_is_told() {
    let bench = Bench::new("config", Place::File);
    let broken = ["options: [", "executablepath: /x", "options:\n  WALG_FILE_PREFIX: [1]", "options:\n  pgport: 1"];
    for text in broken {
        bench.write("plugin.yaml", text.as_bytes());
        bench.fails(&["backup_data", &key(STAMP, "f")], &["gpbackup_damson_plugin: backup_data: "]);
    }
    std::fs::remove_file(&bench.config).unwrap();
    bench.fails(&["backup_file", "/x"], &["plugin.yaml", "No such file"]);
}

#[test]
fn settings_come_from_a_file_of_damson_too() {
    let bench = Bench::new("file", Place::File);
    bench.workplace.use_new_store("other", &[("WALG_COMPRESSION_METHOD", "zstd")]);
    write_config(&bench.config, &[pair("config", bench.workplace.product.config.to_str().unwrap())]);
    bench.store(&key(STAMP, "f"), &[7; 100_000]);
    let folder = bench.workplace.scratch.join("other/backups").join(&STAMP[..8]).join(STAMP);
    assert!(folder.join("f.zst").metadata().unwrap().len() < 1000);
    assert_eq!(bench.restore(&key(STAMP, "f")).unwrap(), [7; 100_000]);
}

#[test]
fn data_is_compressed_once_and_encrypted_where_that_is_asked_for() {
    let key_text = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let more = [("WALG_LIBSODIUM_KEY", key_text), ("WALG_LIBSODIUM_KEY_TRANSFORM", "none")];
    let bench = Bench::with("cipher", Place::File, &more);
    let content = b"secret rows ".repeat(10_000);
    bench.store(&key(STAMP, "f"), &content);
    bench.store(&key(STAMP, "f.gz"), &noise(10_000));
    assert_eq!(bench.objects(STAMP), ["f.gz", "f.gz.integrity.json", "f.integrity.json", "f.lz4"]);
    let stored = std::fs::read(bench.object(STAMP, "f.lz4")).unwrap();
    assert!(stored.len() < content.len() && !stored.windows(6).any(|part| part == b"secret"));
    assert_eq!(bench.restore(&key(STAMP, "f")).unwrap(), content);
    assert_eq!(bench.restore(&key(STAMP, "f.gz")).unwrap(), noise(10_000));
}

/// Same keys, same bytes, so that each plugin reads what the other wrote.
#[test]
fn plg_024_plg_028_the_options_of_the_s3_plugin_mean_its_layout() {
    let bench = Bench::with(
        "layout",
        Place::OtherPlugin,
        &[("encryption", "off"), ("backup_multipart_chunksize", "6MB"), ("backup_max_concurrent_requests", "2")],
    );
    let large = noise(20 << 20);
    bench.store(&key(STAMP, "gpbackup_0_1"), &large);
    assert!(std::fs::read(bench.object(STAMP, "gpbackup_0_1")).unwrap() == large);
    assert!(bench.restore(&key(STAMP, "gpbackup_0_1")).unwrap() == large);
    // A backup of that plugin has objects alone.
    for (name, content) in [("gpbackup_0_2.gz", &b"theirs"[..]), ("gpbackup_0_3", b"")] {
        std::fs::write(bench.object(STAMP, name), content).unwrap();
        rig::User::get().own(&bench.object(STAMP, name));
        assert_eq!(bench.restore(&key(STAMP, name)).unwrap(), content);
    }
    bench.run(&["verify_backup", STAMP]).fails(1, &["2 of 3 files"]);
    let prefix = bench.run(&["list_directory", "plugin/backups"]).ok().stdout;
    assert!(prefix.contains("gpbackup_0_3"), "{prefix}");
    for (name, value) in [
        ("backup_multipart_chunksize", "10M"),
        ("backup_multipart_chunksize", "1MB"),
        ("backup_max_concurrent_requests", "0"),
    ] {
        let wrong = Bench::with("wrong", Place::OtherPlugin, &[(name, value)]);
        wrong.fails(&["restore_data", &key(STAMP, "x")], &[name, value]);
    }
}
