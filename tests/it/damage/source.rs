//! A small real server, its backups in memory, and restores of them.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use codec::{Cipher, Compression, SecretKey, ZstdLevel};
use formats::BackupName;
use formats::wire::PushedSegment;
use pgclient::ConnectOptions;
use rig::{Cluster, ClusterSpec, Flavor, Hosts, Scratch, sql};
use segment_agent::error::Error;
use segment_agent::fetch::{FetchRequest, Fetched, fetch};
use segment_agent::monitor::Monitor;
use segment_agent::pool::Pool;
use segment_agent::push::{PushRequest, push};
use segment_agent::repository::Repository;
use storage::Store;
use tokio_util::sync::CancellationToken;

pub const COMPRESSIONS: [Compression; 5] = [
    Compression::Lz4,
    Compression::Zstd(ZstdLevel::Default),
    Compression::Brotli,
    Compression::Lzma,
    Compression::None,
];

/// The server. Fields in the order in which they are dropped.
pub struct Source {
    pub cluster: Cluster,
    _hosts: Hosts,
    _scratch: Scratch,
}

/// All objects of a storage, by key.
pub type Objects = BTreeMap<String, Bytes>;

/// Everything in a directory: mode, and the content of a file or the target of a link.
pub type Contents = BTreeMap<PathBuf, (u32, Vec<u8>)>;

/// One backup with the storage that holds it.
#[derive(Clone)]
pub struct Tree {
    pub compression: Compression,
    pub cipher: Cipher,
    pub backup: BackupName,
    pub objects: Objects,
    /// What an undisturbed restore gives.
    pub expected: Contents,
}

impl Source {
    /// Without the template databases, so that a case costs milliseconds.
    pub fn start(name: &str) -> Source {
        let scratch = Scratch::new(name);
        let hosts = Hosts::start(&scratch, 1);
        let spec = ClusterSpec { primaries: vec![0], flavor: Flavor::PostgreSql, ..ClusterSpec::default() };
        let cluster = Cluster::start(&scratch, &hosts, &spec);
        for template in ["template0", "template1"] {
            sql(cluster.coordinator(), &format!("alter database {template} is_template false"));
            sql(cluster.coordinator(), &format!("drop database {template}"));
        }
        sql(cluster.coordinator(), "create table t as select g a, md5(g::text) b from generate_series(1, 5000) g");
        sql(cluster.coordinator(), "checkpoint");
        // A link that is no tablespace's: it comes back as a link.
        std::os::unix::fs::symlink("/nonexistent/target", cluster.coordinator().data_dir.join("a_link")).unwrap();
        Source { cluster, _hosts: hosts, _scratch: scratch }
    }

    pub fn connect(&self) -> ConnectOptions {
        let server = self.cluster.coordinator();
        let (host, port) = (server.socket_dir.to_str().unwrap().to_string(), server.port.to_string());
        let lookup = |name: &str| match name {
            "PGHOST" => Some(host.clone()),
            "PGPORT" => Some(port.clone()),
            "PGUSER" => Some("gpadmin".to_string()),
            "PGDATABASE" => Some("postgres".to_string()),
            "HOME" => Some("/nonexistent".to_string()),
            _ => None,
        };
        ConnectOptions::from_lookup(&lookup).unwrap()
    }

    /// Backs the server up in several small parts.
    pub fn push(&self, repository: &Repository) -> Result<PushedSegment, Error> {
        self.push_upon(repository, None)
    }

    /// [`push`](Self::push), as a delta of `base`.
    pub fn push_upon(&self, repository: &Repository, base: Option<BackupName>) -> Result<PushedSegment, Error> {
        let request = PushRequest {
            data_dir: self.cluster.coordinator().data_dir.clone(),
            connect: self.connect(),
            backup_id: None,
            user_data: None,
            permanent: false,
            base,
            delta_count: None,
            part_bytes: 2 << 20,
            with_names: true,
            shared: None,
            stop_timeout: None,
            wait_for_archive: false,
        };
        let cancel = CancellationToken::new();
        block_on(push(repository, &request, &Pool::with_workers(2), &Monitor::silent(), &cancel))
    }

    /// A backup in a storage of its own.
    pub fn tree(&self, compression: Compression, cipher: Cipher) -> Tree {
        let repository = Repository::over(Store::memory(), compression, cipher.clone());
        let backup = self.push(&repository).unwrap().backup_name;
        let objects = objects(repository.store());
        let mut tree = Tree { compression, cipher, backup, objects, expected: Contents::new() };
        let dir = directory();
        let fetched = restore(&repository, &tree.backup, dir.path()).unwrap();
        assert!(fetched.proved && fetched.kept_files == 0, "{fetched:?}");
        tree.expected = contents(dir.path());
        tree
    }
}

impl Tree {
    pub fn repository(&self) -> Repository {
        Repository::over(store(&self.objects), self.compression, self.cipher.clone())
    }

    /// `lz4`, `none and encrypted`.
    pub fn describe(&self) -> String {
        let encrypted = if matches!(self.cipher, Cipher::None) { "" } else { " and encrypted" };
        format!("{:?}{encrypted}", self.compression)
    }

    /// Keys that hold this text; there must be some.
    pub fn keys(&self, holds: &str) -> Vec<String> {
        let keys: Vec<_> = self.objects.keys().filter(|key| key.contains(holds)).cloned().collect();
        assert!(!keys.is_empty(), "{holds} is in none of {:?}", self.objects.keys());
        keys
    }
}

/// One plain tree (lz4) that tests of one process share.
pub fn plain_tree() -> Tree {
    static TREE: OnceLock<Mutex<Option<Tree>>> = OnceLock::new();
    let mut shared = TREE.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    shared.get_or_insert_with(|| Source::start("dmg-plain").tree(Compression::Lz4, Cipher::None)).clone()
}

pub fn key() -> Cipher {
    Cipher::Libsodium(SecretKey::from_setting("a key of thirty bytes or more...", "none").unwrap())
}

/// A storage in memory with these objects.
pub fn store(objects: &Objects) -> Store {
    let store = Store::memory();
    for (key, body) in objects {
        block_on(store.put(key, body.clone())).unwrap();
    }
    store
}

/// Everything that a storage holds.
pub fn objects(store: &Store) -> Objects {
    let listed = block_on(store.list("")).unwrap();
    listed.into_iter().map(|info| (info.key.clone(), block_on(store.get(&info.key)).unwrap())).collect()
}

/// A directory in memory where there is room for it: hundreds of restores would wait for a disk.
pub fn directory() -> tempfile::TempDir {
    let shared = Path::new("/dev/shm");
    let is_roomy = |free: nix::sys::statvfs::Statvfs| free.blocks_available() * free.fragment_size() > 512 << 20;
    let in_memory = nix::sys::statvfs::statvfs(shared).is_ok_and(is_roomy);
    let made = if in_memory { tempfile::tempdir_in(shared) } else { tempfile::tempdir() };
    made.unwrap()
}

pub fn restore(repository: &Repository, backup: &BackupName, destination: &Path) -> Result<Fetched, Error> {
    let destination = destination.to_owned();
    let request = FetchRequest { durable: false, ..FetchRequest::new(backup.clone(), destination, true) };
    let cancel = CancellationToken::new();
    block_on(fetch(repository, &request, &Pool::with_workers(2), &Monitor::silent(), &cancel))
}

/// Lists and reads a directory tree, without following links.
pub fn contents(root: &Path) -> Contents {
    let mut found = Contents::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = std::fs::symlink_metadata(&path).unwrap();
            let body = if meta.is_symlink() {
                std::fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else if meta.is_dir() {
                open.push(path.clone());
                Vec::new()
            } else {
                std::fs::read(&path).unwrap()
            };
            found.insert(path.strip_prefix(root).unwrap().to_owned(), (meta.permissions().mode(), body));
        }
    }
    // It tells the time of the restore.
    found.remove(Path::new(".damson-restored"));
    found
}

/// Asserts that two trees are equal, naming the first paths that differ.
#[track_caller]
pub fn assert_same(expected: &Contents, found: &Contents, what: &str) {
    let paths = expected.keys().chain(found.keys());
    let different: Vec<_> = paths.filter(|path| expected.get(*path) != found.get(*path)).take(5).collect();
    assert!(different.is_empty(), "{what}: success, but these differ: {different:?}");
}

/// On a runtime that the tests share.
pub fn block_on<F: Future>(future: F) -> F::Output {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    RUNTIME.get_or_init(runtime).block_on(future)
}
