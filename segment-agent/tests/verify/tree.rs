//! The stored trees, unpacked, and verified as a whole.

use std::path::{Path, PathBuf};
use std::process::Command;

use codec::{Cipher, Compression, SecretKey};
use formats::wire::{LogEnd, VerifiedSegment, VerifySource};
use formats::{BackupName, ContentId};
use segment_agent::monitor::Monitor;
use segment_agent::pool::Pool;
use segment_agent::repository::Repository;
use segment_agent::verify::verify;
use storage::{StorageSettings, Store};
use tokio_util::sync::CancellationToken;

pub const PG_FULL: &str = "base_000000010000000000000003";
pub const PG_DELTA: &str = "base_000000010000000000000005_D_000000010000000000000003";
pub const PG_TREES: [&str; 4] = ["pg15-brotli", "pg15-lz4", "pg15-zstd", "pg15-lz4-libsodium"];

pub struct Tree {
    _folder: tempfile::TempDir,
    pub root: PathBuf,
    cipher: Cipher,
}

impl Tree {
    /// A tree of a single server.
    pub fn postgres(name: &str) -> Tree {
        let folder = unpack(&format!("postgres15/{name}.tar.gz"));
        let cipher = match name.ends_with("libsodium") {
            true => Cipher::Libsodium(
                SecretKey::from_setting("V0xqtA3Zwu9emhsSlatIiXlMaPa/0lbD9CS8OGdC6Qc=", "base64").unwrap(),
            ),
            false => Cipher::None,
        };
        Tree { root: folder.path().join(name).join("storage"), _folder: folder, cipher }
    }

    /// The part of the coordinator or a segment of a cluster's tree.
    pub fn greenplum(content: i32) -> Tree {
        let folder = unpack("greenplum6/store.tar.zst");
        let root = folder.path().join("store").join(formats::layout::segment_prefix(ContentId(content)));
        Tree { root, _folder: folder, cipher: Cipher::None }
    }

    /// The same tree, read with another key (base64).
    pub fn with_key(self, key: &str) -> Tree {
        Tree { cipher: Cipher::Libsodium(SecretKey::from_setting(key, "base64").unwrap()), ..self }
    }

    pub fn repository(&self) -> Repository {
        let store = Store::open(&StorageSettings::File { root: self.root.clone() }).unwrap();
        Repository::over(store, Compression::Lz4, self.cipher.clone())
    }

    pub fn verify(&self, sources: &[VerifySource], of_cluster: bool) -> VerifiedSegment {
        self.try_verify(sources, of_cluster).unwrap()
    }

    pub fn try_verify(
        &self,
        sources: &[VerifySource],
        of_cluster: bool,
    ) -> segment_agent::error::Result<VerifiedSegment> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (pool, cancel) = (Pool::with_workers(2), CancellationToken::new());
        let repository = self.repository();
        runtime.block_on(verify(&repository, sources, of_cluster, &pool, &Monitor::silent(), &cancel))
    }

    /// Names of the backups, oldest first.
    pub fn backups(&self) -> Vec<String> {
        let mut names: Vec<String> = list(&self.root.join("basebackups_005"))
            .iter()
            .filter_map(|path| Some(path.file_name()?.to_str()?.strip_suffix("_backup_stop_sentinel.json")?.to_owned()))
            .collect();
        names.sort();
        names
    }

    /// Keys of all objects, with a trailing part of the path that `keep` accepts.
    pub fn keys(&self, keep: impl Fn(&str) -> bool) -> Vec<String> {
        let relative = |path: &PathBuf| path.strip_prefix(&self.root).unwrap().to_str().unwrap().to_owned();
        let mut keys: Vec<String> = walk(&self.root).iter().map(relative).filter(|key| keep(key)).collect();
        keys.sort();
        keys
    }
}

/// The backup, and its log to its own end.
pub fn source(backup: &str) -> VerifySource {
    VerifySource { backup: BackupName::new(backup).unwrap(), until: None }
}

pub fn source_until(backup: &str, timeline: u32, lsn: &str) -> VerifySource {
    let until = LogEnd { timeline: pgdata::TimelineId(timeline), lsn: lsn.parse().unwrap() };
    VerifySource { until: Some(until), ..source(backup) }
}

fn unpack(archive: &str) -> tempfile::TempDir {
    let archive = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(archive);
    let folder = tempfile::tempdir().unwrap();
    let tar = Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(folder.path()).status().unwrap();
    assert!(tar.success());
    folder
}

fn list(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let (folders, mut files): (Vec<_>, Vec<_>) = list(folder).into_iter().partition(|path| path.is_dir());
    files.extend(folders.iter().flat_map(|folder| walk(folder)));
    files
}
