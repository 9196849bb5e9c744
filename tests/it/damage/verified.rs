//! Verification of Damson's own backups, a full one and a delta of it: nothing that is done to an object of theirs goes unseen.

use std::os::unix::fs::FileExt;
use std::path::Path;

use codec::{Cipher, Compression};
use formats::BackupName;
use formats::wire::{VerifiedSegment, VerifySource};
use rig::sql;
use segment_agent::bridge::Driver;
use segment_agent::monitor::Monitor;
use segment_agent::pool::Pool;
use segment_agent::repository::Repository;
use segment_agent::verify::verify;
use segment_agent::wal::{self, PushOptions};
use storage::Store;
use tokio_util::sync::CancellationToken;

use super::case::{self, Damage};
use super::source::{Objects, Source, block_on, key, objects, store};

/// Two backups and their log.
struct Chain {
    objects: Objects,
    backups: Vec<BackupName>,
    cipher: Cipher,
}

impl Chain {
    /// Without compression, so that no codec's checksum helps.
    fn push(source: &Source, cipher: Cipher) -> Chain {
        let repository = Repository::over(Store::memory(), Compression::None, cipher.clone());
        let server = source.cluster.coordinator();
        let full = source.push(&repository).unwrap().backup_name;
        sql(server, "update t set b = 'changed' where a % 500 = 0");
        sql(server, "create table later as select g a from generate_series(1, 100) g");
        sql(server, "checkpoint");
        let delta = source.push_upon(&repository, Some(full.clone())).unwrap().backup_name;
        assert!(delta.as_str().contains("_D_"), "{delta}");
        Chain::archived(source, &repository, vec![full, delta])
    }

    /// Archives the whole log.
    fn archived(source: &Source, repository: &Repository, backups: Vec<BackupName>) -> Chain {
        let server = source.cluster.coordinator();
        sql(server, "select pg_switch_wal()");
        for entry in std::fs::read_dir(server.data_dir.join("pg_wal")).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_file() {
                wal::push(repository, &Driver::Local, &entry, PushOptions::default()).unwrap();
            }
        }
        Chain { objects: objects(repository.store()), backups, cipher: repository.cipher.clone() }
    }

    fn verify(&self, objects: &Objects) -> VerifiedSegment {
        let repository = Repository::over(store(objects), Compression::None, self.cipher.clone());
        let source = |backup: &BackupName| VerifySource { backup: backup.clone(), until: None };
        let sources: Vec<_> = self.backups.iter().map(source).collect();
        let (pool, cancel) = (Pool::with_workers(2), CancellationToken::new());
        block_on(verify(&repository, &sources, false, &pool, &Monitor::silent(), &cancel)).unwrap()
    }
}

fn every_damage_is_found(chain: &Chain) {
    let whole = chain.verify(&chain.objects);
    assert_eq!(whole.findings, []);
    assert!(whole.sources.iter().all(|source| source.has_manifests), "{whole:?}");
    let needed =
        |key: &&String| !key.starts_with("wal_005/") && !key.ends_with("/metadata.json") && !key.contains("sentinel");
    let keys: Vec<_> = chain.objects.keys().filter(needed).cloned().collect();
    assert!(keys.iter().any(|key| key.contains("_D_") && key.contains("/part_")), "{keys:?}");
    for key in keys {
        for damage in case::ALL {
            if key.ends_with("/manifest.json.zst") && damage == Damage::Deleted {
                // Then it is a backup like WAL-G's, and that is told.
                let mut objects = chain.objects.clone();
                damage.apply(&mut objects, &key);
                assert!(!chain.verify(&objects).sources.iter().all(|source| source.has_manifests));
                continue;
            }
            let mut objects = chain.objects.clone();
            damage.apply(&mut objects, &key);
            let verified = chain.verify(&objects);
            let told = verified.findings.iter().any(|finding| finding.object == key && !finding.backups.is_empty());
            assert!(told, "{key} {damage:?}: {:?}", verified.findings);
        }
    }
}

#[test]
fn no_damage_of_a_chain_goes_unseen() {
    let source = Source::start("verify-chain");
    every_damage_is_found(&Chain::push(&source, Cipher::None));
}

#[test]
fn no_damage_of_an_encrypted_chain_goes_unseen() {
    let source = Source::start("verify-secret");
    every_damage_is_found(&Chain::push(&source, key()));
}

/// The server's own disk flipped a bit before the backup: every hash is right, and the page is wrong.
#[test]
fn a_page_that_was_damaged_on_the_server_is_found() {
    let source = Source::start("verify-page");
    let server = source.cluster.coordinator();
    assert_eq!(sql(server, "show data_checksums"), "on");
    let path = sql(server, "select pg_relation_filepath('t')");
    // Nothing writes the page afterwards.
    sql(server, "vacuum freeze t");
    sql(server, "checkpoint");
    flip_byte(&server.data_dir.join(&path), 8192 + 4000);
    let repository = Repository::over(Store::memory(), Compression::None, Cipher::None);
    let backup = source.push(&repository).unwrap().backup_name;
    let chain = Chain::archived(&source, &repository, vec![backup]);
    let verified = chain.verify(&chain.objects);
    let [finding] = verified.findings.as_slice() else { panic!("{:?}", verified.findings) };
    assert!(finding.problem.contains(&path) && finding.problem.contains("page 1 has a wrong checksum"), "{finding:?}");
}

fn flip_byte(path: &Path, at: u64) {
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}
