//! A single server.

use std::path::{Path, PathBuf};

use rig::{Cluster, ClusterSpec, Flavor, Hosts, Output, Product, Scratch, User, sql};

use crate::{assert_same, restored};

/// 32 bytes.
const KEY: &str = "a key of exactly thirty-two byte";

const KINDS: [(&str, bool); 4] = [("lz4", false), ("zstd", false), ("lzma", false), ("lz4", true)];

/// What happens between two backups.
const CHANGES: [&str; 4] = [
    "create table heap as select g a, md5(g::text) b from generate_series(1, 40000) g; \
     create table still as select g a, md5(g::text) b from generate_series(1, 20000) g",
    "update heap set b = 'changed' where a % 700 = 0; create table later as select generate_series(1, 9000) a",
    "delete from heap where a > 20000; vacuum heap; insert into later select generate_series(1, 500000)",
    "truncate later; vacuum full heap; create index on heap(a)",
];

/// Who writes the backups, the first of which is full.
const WRITERS: [[&str; 4]; 2] =
    [["damson-pg", "wal-g-pg", "damson-pg", "wal-g-pg"], ["wal-g-pg", "damson-pg", "wal-g-pg", "damson-pg"]];

struct Bench {
    cluster: Cluster,
    product: Product,
    _hosts: Hosts,
    scratch: Scratch,
}

pub fn check(given: &Path) {
    for (codec, encrypted) in KINDS {
        for writers in WRITERS {
            let bench = Bench::start(given);
            bench.use_store(codec, encrypted);
            let names = bench.push_all(&writers);
            for name in &names {
                bench.restores_are_alike(name);
            }
            println!("ok: server, {codec}, encrypted {encrypted}: {writers:?} wrote, both restored {names:?}");
            bench.delete_the_last(writers[0], &names);
            println!("ok: server, {codec}, encrypted {encrypted}: what {} left, both restored", writers[0]);
        }
    }
}

impl Bench {
    fn start(given: &Path) -> Bench {
        let scratch = Scratch::new("peer-server");
        let hosts = Hosts::start(&scratch, 1);
        let spec = ClusterSpec {
            primaries: vec![0],
            flavor: Flavor::PostgreSql,
            settings: vec![("archive_mode".to_owned(), "off".to_owned())],
            ..ClusterSpec::default()
        };
        let cluster = Cluster::start(&scratch, &hosts, &spec);
        let product = Product::install(&scratch, &hosts.list[0]);
        let copy = product.path("wal-g-pg");
        std::fs::copy(given, &copy).unwrap();
        User::get().own(&copy);
        Bench { cluster, product, _hosts: hosts, scratch }
    }

    fn use_store(&self, codec: &str, encrypted: bool) {
        let server = self.cluster.coordinator();
        let mut settings = vec![
            ("WALG_FILE_PREFIX", self.scratch.dir("store").display().to_string()),
            ("WALG_COMPRESSION_METHOD", codec.to_owned()),
            ("WALG_DELTA_MAX_STEPS", "7".to_owned()),
            ("WALG_PG_WAL_SIZE", "1".to_owned()),
            ("PGHOST", server.socket_dir.display().to_string()),
            ("PGPORT", server.port.to_string()),
            ("PGUSER", "gpadmin".to_owned()),
            ("PGDATABASE", "postgres".to_owned()),
        ];
        if encrypted {
            settings.push(("WALG_LIBSODIUM_KEY", KEY.to_owned()));
        }
        let settings: Vec<_> = settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.product.write_config(&settings);
    }

    fn run(&self, program: &str, args: &[&str]) -> Output {
        let config = self.product.config.to_str().unwrap();
        self.product.run(self.product.command(program, &[args, &["--config", config]].concat()))
    }

    /// Names of the backups, oldest first.
    fn push_all(&self, writers: &[&str]) -> Vec<String> {
        let server = self.cluster.coordinator();
        let data_dir = server.data_dir.to_str().unwrap();
        let mut names: Vec<String> = Vec::new();
        for (writer, change) in writers.iter().zip(CHANGES) {
            for one in change.split("; ") {
                sql(server, one);
            }
            sql(server, "checkpoint");
            self.run(writer, &["backup-push", data_dir]).success();
            let new = self.names().into_iter().find(|name| !names.contains(name)).expect("a new backup");
            assert_eq!(new.contains("_D_"), !names.is_empty(), "{writer}: {new}");
            names.push(new);
        }
        names
    }

    fn names(&self) -> Vec<String> {
        let folder = std::fs::read_dir(self.scratch.join("store/basebackups_005")).unwrap().flatten();
        let name = |entry: std::fs::DirEntry| {
            Some(entry.file_name().to_str()?.strip_suffix("_backup_stop_sentinel.json")?.to_owned())
        };
        folder.filter_map(name).collect()
    }

    fn restores_are_alike(&self, name: &str) {
        let fetch = |program: &str| -> PathBuf {
            let target = self.scratch.join(format!("restored-{program}"));
            let _ = std::fs::remove_dir_all(&target);
            self.run(program, &["backup-fetch", target.to_str().unwrap(), name]).success();
            target
        };
        let (ours, theirs) = (fetch("damson-pg"), fetch("wal-g-pg"));
        assert_same(name, &restored(&theirs), &restored(&ours));
    }

    /// The newest delta goes; the others are whole.
    fn delete_the_last(&self, program: &str, names: &[String]) {
        let (last, rest) = names.split_last().unwrap();
        self.run(program, &["delete", "target", last, "--confirm"]).success();
        let mut left = self.names();
        left.sort_by_key(|name| names.iter().position(|known| known == name));
        assert_eq!(left, rest);
        for name in rest {
            self.restores_are_alike(name);
        }
    }
}

trait Success {
    fn success(self);
}

impl Success for Output {
    /// WAL-G warns of many things.
    fn success(self) {
        assert_eq!(self.status, Some(0), "{}", self.report());
    }
}
