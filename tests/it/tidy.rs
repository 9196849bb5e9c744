//! The architecture, enforced: who may use whom, what stays in one module, and that nothing of the past is forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Package, its folder, and the packages of ours that it may use (ARCHITECTURE.md). `tests` may use everything.
const ARROWS: [(&str, &str, &[&str]); 11] = [
    ("pgdata", "segment-agent/pgdata", &[]),
    ("formats", "segment-agent/formats", &["pgdata"]),
    ("codec", "segment-agent/codec", &[]),
    ("storage", "segment-agent/storage", &[]),
    ("settings", "segment-agent/settings", &[]),
    ("pgclient", "segment-agent/pgclient", &["pgdata"]),
    ("segment-agent", "segment-agent", &["pgdata", "formats", "codec", "storage", "settings", "pgclient"]),
    ("restore-configs", "restore-configs", &[]),
    (
        "coordinator",
        "coordinator",
        &["segment-agent", "settings", "formats", "pgdata", "pgclient", "storage", "restore-configs"],
    ),
    ("pg", "pg", &["segment-agent", "settings"]),
    ("gpplugin", "gpplugin", &["segment-agent", "codec", "storage", "settings"]),
];

/// What a package must never know, whoever wrote it.
const NEVER: [(&str, &[&str]); 6] = [
    ("pgdata", &["tokio", "chrono", "nix", "tracing"]),
    ("formats", &["tokio", "nix", "tracing"]),
    ("codec", &["tokio", "nix", "object_store", "tokio-postgres"]),
    ("storage", &["tokio-postgres", "lz4_flex", "zstd", "tar"]),
    ("pgclient", &["object_store", "tar"]),
    ("segment-agent", &["russh", "russh-sftp"]),
];

/// Crates that are no longer maintained: one module each, so that replacing them is one file's work.
const ONE_MODULE: [&str; 2] = ["serde_yaml", "sodiumoxide"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Names under every dependency table of a package's Cargo.toml.
fn dependencies(folder: &str) -> BTreeSet<String> {
    let manifest: toml::Table = read(&root().join(folder).join("Cargo.toml")).parse().unwrap();
    let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
    let named = tables.iter().filter_map(|table| manifest.get(*table)?.as_table());
    named.flat_map(|table| table.keys().cloned()).collect()
}

/// Rust files below a folder, without build products.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "target" && name != ".git" {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn every_package_is_pinned() {
    let manifest: toml::Table = read(&root().join("Cargo.toml")).parse().unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap();
    let members: BTreeSet<&str> = members.iter().map(|member| member.as_str().unwrap()).collect();
    let pinned: BTreeSet<&str> = ARROWS.iter().map(|(_, folder, _)| *folder).chain(["tests"]).collect();
    assert_eq!(members, pinned);
}

#[test]
fn arrows_go_one_way() {
    let ours: BTreeSet<&str> = ARROWS.iter().map(|(name, ..)| *name).chain(["tests"]).collect();
    for (name, folder, allowed) in ARROWS {
        let used = dependencies(folder);
        let wrong: Vec<_> =
            used.iter().filter(|used| ours.contains(used.as_str()) && !allowed.contains(&used.as_str())).collect();
        assert!(wrong.is_empty(), "{name} must not use {wrong:?}");
    }
}

#[test]
fn no_package_knows_what_it_must_not() {
    let folders: BTreeMap<&str, &str> = ARROWS.iter().map(|(name, folder, _)| (*name, *folder)).collect();
    for (name, never) in NEVER {
        let used = dependencies(folders[name]);
        let wrong: Vec<_> = never.iter().filter(|never| used.contains(**never)).collect();
        assert!(wrong.is_empty(), "{name} must never know {wrong:?}");
    }
}

#[test]
fn unmaintained_crates_stay_in_one_module() {
    let tests = root().join("tests");
    for name in ONE_MODULE {
        let path = format!("{name}::");
        let all = sources(&root());
        let users: Vec<_> = all.iter().filter(|file| !file.starts_with(&tests) && read(file).contains(&path)).collect();
        assert!(users.len() <= 1, "{name} is used in {users:?}");
    }
}

/// A tree or file of tests/golden that no test names would rot unseen.
#[test]
fn golden_files_are_named_in_a_test() {
    let this = Path::new(file!()).file_name().unwrap();
    let texts: String =
        sources(&root()).iter().filter(|file| file.file_name() != Some(this)).map(|file| read(file)).collect();
    for folder in std::fs::read_dir(rig::golden::dir()).unwrap().flatten() {
        let name = folder.file_name().into_string().unwrap();
        assert!(texts.contains(&name), "no test names tests/golden/{name}");
    }
}

/// A file in tests/it that main.rs does not name would never run.
#[test]
fn every_test_file_is_in_main() {
    let folder = root().join("tests/it");
    let main = read(&folder.join("main.rs"));
    for file in sources(&folder) {
        let name = file.file_stem().unwrap().to_str().unwrap();
        if file.parent() == Some(&folder) && name != "main" {
            assert!(main.contains(&format!("mod {name};")), "tests/it/main.rs does not name {name}");
        }
    }
}
