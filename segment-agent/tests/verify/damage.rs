//! Every object that a restore needs, damaged in every way, one at a time.

use std::path::Path;

use formats::wire::{VerifiedSegment, VerifySource};

use crate::tree::{PG_DELTA, PG_FULL, PG_TREES, Tree, source, source_until};

#[derive(Clone, Copy, Debug)]
enum Damage {
    Delete,
    Cut,
    Flip,
}

/// Verifies with the object `key` damaged, and mends it again.
fn with_damage(tree: &Tree, key: &str, how: Damage, verify: impl Fn() -> VerifiedSegment) -> VerifiedSegment {
    let path = tree.root.join(key);
    let original = std::fs::read(&path).unwrap();
    damage(&path, &original, how);
    let verified = verify();
    std::fs::write(&path, original).unwrap();
    verified
}

fn damage(path: &Path, original: &[u8], how: Damage) {
    let mut bytes = original.to_vec();
    // WAL-G keeps no hashes of its documents: that a name in them is another one cannot be seen.
    let at = if path.extension().is_some_and(|extension| extension == "json") { 0 } else { bytes.len() / 2 };
    match how {
        Damage::Delete => return std::fs::remove_file(path).unwrap(),
        Damage::Cut => bytes.truncate(bytes.len() / 2),
        Damage::Flip => bytes[at] ^= 0x10,
    }
    std::fs::write(path, bytes).unwrap();
}

/// Damages each of `keys`; every time it must be told, with the backups that need the object.
fn every_damage_is_found(tree: &Tree, sources: &[VerifySource], of_cluster: bool, keys: &[String]) {
    let mut missed = Vec::new();
    for key in keys {
        for how in [Damage::Delete, Damage::Cut, Damage::Flip] {
            // Brotli has no checksum, so that only the hashes of a manifest would tell.
            if matches!(how, Damage::Flip) && key.ends_with(".br") {
                continue;
            }
            let verified = with_damage(tree, key, how, || tree.verify(sources, of_cluster));
            let told = verified.findings.iter().find(|finding| key.starts_with(&finding.object));
            if told.is_none_or(|finding| finding.backups.is_empty()) {
                missed.push(format!("{how:?} {key} -> {:?}", verified.findings));
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    assert_eq!(tree.verify(sources, of_cluster).findings, []);
}

/// Objects that the backups need: not the log that other restores would need.
fn needed(tree: &Tree, log: &[&str]) -> Vec<String> {
    tree.keys(|key| match key.strip_prefix("wal_005/") {
        Some(name) => log.contains(&name.split('.').next().unwrap()) && !name.contains(".backup."),
        // Greenplum 6 has no PAX files, and no backup of it needs their list.
        None => !key.ends_with("/pax_files_metadata.json"),
    })
}

#[test]
fn every_object_of_a_greenplum_segment() {
    let tree = Tree::greenplum(0);
    let sources: Vec<_> = tree.backups().iter().map(|backup| source(backup)).collect();
    let log = ["000000010000000000000002", "000000010000000000000005", "00000001000000000000000A"];
    let keys = needed(&tree, &log);
    assert!(keys.iter().filter(|key| key.contains("/aosegments/")).count() > 5);
    every_damage_is_found(&tree, &sources, true, &keys);
}

#[test]
fn every_object_of_single_servers() {
    for name in PG_TREES {
        let tree = Tree::postgres(name);
        let sources = [source(PG_FULL), source_until(PG_DELTA, 1, "0/6000028")];
        every_damage_is_found(
            &tree,
            &sources,
            false,
            &needed(&tree, &["000000010000000000000003", "000000010000000000000006"]),
        );
    }
}

#[test]
fn damage_names_the_backups_that_share_it() {
    let tree = Tree::greenplum(0);
    let backups = tree.backups();
    let newest = [source(&backups[2])];
    let affected = |key: &str| {
        let verified = with_damage(&tree, key, Damage::Delete, || tree.verify(&newest, true));
        let [finding] = verified.findings.as_slice() else { panic!("{key}: {verified:?}") };
        assert_eq!(finding.object, key);
        finding.backups.iter().map(|name| name.to_string()).collect::<Vec<_>>()
    };
    let metadata = |backup: &str| format!("basebackups_005/{backup}/metadata.json");
    assert_eq!(affected(&metadata(&backups[0])), backups);
    assert_eq!(affected(&metadata(&backups[1])), backups[1..]);
    assert_eq!(affected(&metadata(&backups[2])), backups[2..]);
}

#[test]
fn a_hole_in_the_log_names_the_backups_that_need_it() {
    let tree = Tree::greenplum(0);
    let backups = tree.backups();
    let sources = [source_until(&backups[0], 1, "0/18000028"), source(&backups[2])];
    let key = "wal_005/000000010000000000000003.zst";
    let verified = with_damage(&tree, key, Damage::Delete, || tree.verify(&sources, true));
    let [finding] = verified.findings.as_slice() else { panic!("{verified:?}") };
    assert_eq!(
        (finding.object.as_str(), finding.problem.as_str()),
        ("wal_005/000000010000000000000003", "it is missing")
    );
    let names: Vec<_> = finding.backups.iter().map(|name| name.to_string()).collect();
    assert_eq!(names, backups[..1]);
}
