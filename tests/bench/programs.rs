//! The programs that take WAL-G's commands, each with a storage and settings of its own, once per codec.

use std::path::{Path, PathBuf};

use rig::{Product, Scratch, User};

use crate::arguments::Arguments;
use crate::data::Data;
use crate::measure::Words;

/// A program with one codec.
pub struct Program {
    /// As in the goals: `damson`, `WAL-G`, `walrus`.
    pub name: &'static str,
    pub codec: &'static str,
    path: PathBuf,
    config: PathBuf,
    /// Its storage.
    pub store: PathBuf,
}

pub struct Programs(pub Vec<Program>);

impl Programs {
    pub fn install(scratch: &Scratch, data: &Data, arguments: &Arguments) -> Programs {
        let product = Product::install(scratch, &data.hosts.list[0]);
        let mut found = vec![("damson", product.path("damson-pg"))];
        for (name, given) in [("WAL-G", &arguments.wal_g), ("walrus", &arguments.walrus)] {
            if let Some(given) = given {
                found.push((name, copy(given, &product.bin)));
            }
        }
        let mut programs = Vec::new();
        for (name, path) in found {
            for codec in ["lz4", "zstd"] {
                let store = scratch.dir(format!("store-{name}-{codec}"));
                let config = scratch.join(format!("{name}-{codec}.yaml"));
                User::get().write(&config, settings(data, codec, &store), 0o600);
                programs.push(Program { name, codec, path: path.clone(), config, store });
            }
        }
        Programs(programs)
    }

    /// Those with one codec.
    pub fn with(&self, codec: &'static str) -> impl Iterator<Item = &Program> {
        self.0.iter().filter(move |program| program.codec == codec)
    }
}

impl Program {
    /// `damson lz4`.
    pub fn title(&self) -> String {
        format!("{} {}", self.name, self.codec)
    }

    /// A command with its settings.
    pub fn command(&self, args: &[&str]) -> Words {
        let mut words = vec![text(&self.path)];
        words.extend(args.iter().map(|word| (*word).to_owned()));
        words.extend(["--config".to_owned(), text(&self.config)]);
        words
    }

    /// Name of the only full backup in the storage.
    pub fn full_backup(&self) -> String {
        let names: Vec<_> = self.backups().into_iter().filter(|name| !name.contains("_D_")).collect();
        assert_eq!(names.len(), 1, "{}: {names:?}", self.title());
        names[0].clone()
    }

    pub fn has_delta(&self) -> bool {
        self.backups().iter().any(|name| name.contains("_D_"))
    }

    fn backups(&self) -> Vec<String> {
        let folder = std::fs::read_dir(self.store.join("basebackups_005")).into_iter().flatten().flatten();
        let names = folder.filter_map(|entry| {
            entry.file_name().to_str()?.strip_suffix("_backup_stop_sentinel.json").map(str::to_owned)
        });
        names.collect()
    }

    /// `--help` alone: nothing is read.
    pub fn help(&self) -> Words {
        vec![text(&self.path), "--help".to_owned()]
    }
}

/// Everything is at its default but the concurrency: two cores, two workers.
fn settings(data: &Data, codec: &str, store: &Path) -> String {
    let server = data.server();
    let (store, socket, port) = (store.display(), server.socket_dir.display(), server.port);
    let data_dir = server.data_dir.display();
    format!(
        "WALG_FILE_PREFIX: \"{store}\"\nWALG_COMPRESSION_METHOD: \"{codec}\"\nPGHOST: \"{socket}\"\nPGPORT: \"{port}\"\n\
         PGUSER: \"gpadmin\"\nPGDATABASE: \"postgres\"\nPGDATA: \"{data_dir}\"\n\
         WALG_UPLOAD_DISK_CONCURRENCY: \"2\"\nWALG_DOWNLOAD_CONCURRENCY: \"2\"\n"
    )
}

/// Puts a program given by path where the rig's user can run it.
pub fn copy(program: &Path, folder: &Path) -> PathBuf {
    let target = folder.join(program.file_name().unwrap());
    std::fs::copy(program, &target).unwrap_or_else(|e| panic!("copy {}: {e}", program.display()));
    User::get().own(&target);
    target
}

/// A path as a word of a command.
pub fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
