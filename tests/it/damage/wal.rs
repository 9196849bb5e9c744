//! Archived log files, damaged: the right file, or none and an error that names the object.

use codec::{Cipher, Codec, Compression};
use segment_agent::bridge::Driver;
use segment_agent::error::Kind;
use segment_agent::repository::Repository;
use segment_agent::wal::{self, PushOptions};
use storage::Store;

use super::case::{self, Damage};
use super::source::{COMPRESSIONS, Source, directory, key, objects, store};

/// Those without a checksum of their own: the server's, of every record, is what finds a turned bit.
fn has_checksum(compression: Compression, cipher: &Cipher) -> bool {
    !matches!(cipher, Cipher::None) || !matches!(compression.codec(), Codec::None | Codec::Brotli | Codec::Lzma)
}

#[test]
fn a_damaged_log_file_is_never_delivered() {
    let source = Source::start("dmg-wal");
    let folder = source.cluster.coordinator().data_dir.join("pg_wal");
    let files = std::fs::read_dir(folder).unwrap().flatten();
    let name = files.map(|entry| entry.file_name().into_string().unwrap()).filter(|name| name.len() == 24).min();
    let name = name.unwrap();
    let path = source.cluster.coordinator().data_dir.join("pg_wal").join(&name);
    let content = std::fs::read(&path).unwrap();
    for compression in COMPRESSIONS {
        for cipher in [Cipher::None, key()] {
            let archive = Store::memory();
            let repository = Repository::over(archive.clone(), compression, cipher.clone());
            wal::push(&repository, &Driver::Local, &path, PushOptions::default()).unwrap();
            let stored = objects(&archive);
            let object = stored.keys().next().unwrap().clone();
            for damage in case::ALL {
                let mut damaged = stored.clone();
                damage.apply(&mut damaged, &object);
                let dir = directory();
                let target = dir.path().join("RECOVERYXLOG");
                let repository = Repository::over(store(&damaged), compression, cipher.clone());
                let outcome = wal::fetch(&repository, &Driver::Local, &name, &target);
                let what = format!("{compression:?} {cipher:?} {damage:?}");
                let unseen = damage.is_flip() && !has_checksum(compression, &cipher);
                match outcome {
                    Ok(()) => assert!(unseen || std::fs::read(&target).unwrap() == content, "{what}: wrong file"),
                    Err(error) => {
                        assert!(error.to_string().contains(&name), "{what}: {error}");
                        assert_eq!(error.kind() == Kind::NotArchived, damage == Damage::Deleted, "{what}: {error}");
                        let left = std::fs::read_dir(dir.path()).unwrap().count();
                        assert_eq!(left, 0, "{what}: something is left beside {}", target.display());
                    }
                }
            }
        }
    }
}
