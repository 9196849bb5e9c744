//! Every object of a backup, damaged in every way, for every codec, plain and encrypted.

use codec::{Cipher, Compression};
use segment_agent::error::Error;

use super::case::{self, Damage};
use super::source::{COMPRESSIONS, Source, Tree, assert_same, contents, directory, key, plain_tree, restore};

/// Parts of the keys of a backup's documents.
const DOCUMENTS: [&str; 6] = [
    "_backup_stop_sentinel.json",
    "/metadata.json",
    "/files_metadata.json",
    "/ao_files_metadata.json",
    "/pax_files_metadata.json",
    "/manifest.json",
];

/// Restores with one object damaged. Success means the right files; an error names the object.
fn try_one(tree: &Tree, key: &str, damage: Damage) -> Result<(), Error> {
    let what = format!("{}: {key} {damage:?}", tree.describe());
    let mut damaged = tree.clone();
    damage.apply(&mut damaged.objects, key);
    let dir = directory();
    match restore(&damaged.repository(), &tree.backup, dir.path()) {
        Ok(_) => {
            assert_same(&tree.expected, &contents(dir.path()), &what);
            Ok(())
        }
        Err(error) => {
            let message = error.to_string();
            assert!(names(&message, key, tree), "{what}: the message names another object: {message}");
            assert!(error.remedy().is_some(), "{what}: no remedy for {message}");
            Err(error)
        }
    }
}

/// The object by its file name. A sentinel that is gone is a backup that does not exist.
fn names(message: &str, key: &str, tree: &Tree) -> bool {
    let file_name = key.rsplit('/').next().unwrap();
    message.contains(file_name) || message.contains(&format!("Backup '{}' does not exist", tree.backup))
}

/// The archives hold what is restored: none of the ways to damage them goes unseen.
fn archives(cipher: &Cipher, compressions: &[Compression]) {
    let source = Source::start("dmg-archives");
    for compression in compressions {
        let tree = source.tree(*compression, cipher.clone());
        let parts = tree.keys("/part_");
        assert!(parts.len() > 2, "{parts:?}");
        let objects = [parts[..2].to_vec(), tree.keys("pg_control.tar"), tree.keys("backup_label.tar")].concat();
        for key in &objects {
            for damage in case::ALL {
                let outcome = try_one(&tree, key, damage);
                assert!(outcome.is_err(), "{}: {key} {damage:?} went unseen", tree.describe());
            }
        }
    }
}

#[test]
fn damaged_archives_are_refused() {
    archives(&Cipher::None, &COMPRESSIONS);
}

#[test]
fn damaged_encrypted_archives_are_refused() {
    archives(&key(), &COMPRESSIONS);
}

#[test]
fn damaged_documents_never_lead_to_wrong_files() {
    let tree = plain_tree();
    for part in DOCUMENTS {
        for key in tree.keys(part) {
            for damage in case::ALL {
                let outcome = try_one(&tree, &key, damage);
                let is_whole = outcome.is_ok();
                // What a restore needs must be told from what it does not.
                let is_needed = part.contains("sentinel") || part.contains("manifest");
                assert!(!(is_whole && is_needed && matches!(damage, Damage::Cut(_) | Damage::Emptied)), "{key}");
            }
            for at in (20..1000).step_by(40) {
                let _ = try_one(&tree, &key, Damage::Flipped(at));
            }
        }
    }
}

/// The manifest is encrypted like data, so it cannot be replaced by somebody without the key.
#[test]
fn a_manifest_of_another_key_is_refused() {
    let source = Source::start("dmg-manifest");
    let tree = source.tree(Compression::None, key());
    let manifest = &tree.keys("/manifest.json")[0];
    for damage in case::ALL.into_iter().filter(|damage| *damage != Damage::Deleted) {
        assert!(try_one(&tree, manifest, damage).is_err(), "{damage:?}");
    }
    let plain = source.tree(Compression::None, Cipher::None);
    let mut forged = tree.clone();
    forged.objects.insert(manifest.clone(), plain.objects[&plain.keys("/manifest.json")[0]].clone());
    let dir = directory();
    let error = restore(&forged.repository(), &tree.backup, dir.path()).unwrap_err();
    assert!(error.to_string().contains("manifest.json"), "{error}");
}

/// Archives of another backup under the names of this one: each is whole in itself.
#[test]
fn archives_of_another_backup_are_refused() {
    let source = Source::start("dmg-swap");
    let tree = source.tree(Compression::Lz4, Cipher::None);
    rig::sql(source.cluster.coordinator(), "create table later as select generate_series(1, 100) a; checkpoint");
    let other = source.tree(Compression::Lz4, Cipher::None);
    for file in ["part_001.tar", "pg_control.tar", "backup_label.tar"] {
        let (ours, theirs) = (&tree.keys(file)[0], &other.keys(file)[0]);
        let mut swapped = tree.clone();
        swapped.objects.insert(ours.clone(), other.objects[theirs].clone());
        let dir = directory();
        let error = restore(&swapped.repository(), &tree.backup, dir.path()).unwrap_err();
        assert!(error.to_string().contains(file), "{error}");
    }
    let mut swapped = tree.clone();
    let [one, two] = [&tree.keys("part_001")[0], &tree.keys("part_002")[0]];
    swapped.objects.insert(one.clone(), tree.objects[two].clone());
    swapped.objects.insert(two.clone(), tree.objects[one].clone());
    let dir = directory();
    assert!(restore(&swapped.repository(), &tree.backup, dir.path()).is_err());
}

/// An object that the backup does not list is left alone.
#[test]
fn a_foreign_archive_beside_the_others_is_not_read() {
    let mut tree = plain_tree();
    let part = tree.keys("part_001")[0].clone();
    let copy = part.replace("part_001", "part_999");
    tree.objects.insert(copy.clone(), b"none of ours".to_vec().into());
    let dir = directory();
    restore(&tree.repository(), &tree.backup, dir.path()).unwrap();
    assert_same(&tree.expected, &contents(dir.path()), &copy);
}
