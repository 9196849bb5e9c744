//! Files of append-optimized and PAX tables: stored once, reused by later backups, and restored byte for byte.

mod blocks;
mod deltas;
mod histories;
mod pax;
mod reuse;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rig::{Server, Stand};
use serde_json::Value;

const MIB: usize = 1 << 20;

/// Numbers that a seed repeats.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// From 0 to `limit` - 1.
    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit.max(1)
    }
}

/// Content that no two seeds share.
fn content(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    std::iter::repeat_with(|| random.next().to_le_bytes()).flatten().take(bytes).collect()
}

fn primary(stand: &Stand) -> &Server {
    stand.cluster.server(0)
}

fn backups_folder(stand: &Stand) -> PathBuf {
    stand.store_dir().join("segments_005/seg0/basebackups_005")
}

/// Names of the shared objects of primary 0.
fn objects(stand: &Stand, folder: &str) -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir(backups_folder(stand).join(folder)) else { return BTreeSet::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// A document of primary 0's newest backup.
fn document(stand: &Stand, name: &str) -> Value {
    let backups = std::fs::read_dir(backups_folder(stand)).unwrap().map(|entry| entry.unwrap().path().join(name));
    let newest = backups.filter(|path| path.exists()).max_by_key(|path| path.metadata().unwrap().modified().unwrap());
    serde_json::from_slice(&std::fs::read(newest.unwrap()).unwrap()).unwrap()
}

/// Path as the documents have it.
fn name_of(server: &Server, path: &Path) -> String {
    format!("/{}", path.strip_prefix(&server.data_dir).unwrap().display())
}

/// Files of primary 0 and what they hold.
type Files = Vec<(PathBuf, Vec<u8>)>;

fn read(files: impl IntoIterator<Item = PathBuf>) -> Files {
    let with_content = |file: PathBuf| std::fs::read(&file).ok().map(|content| (file, content));
    files.into_iter().filter_map(with_content).collect()
}

/// The data directory of primary 0, restored from `backup` as `name`, holds the same bytes in these files.
fn restored_alike(stand: &Stand, name: &str, backup: &str, files: &Files) {
    let restore = stand.plan_restore(name);
    stand.fetch(&restore, &[backup, "--mode", "unpack"]).ok();
    let place = restore.places.iter().find(|place| place.content == 0).unwrap();
    for (file, expected) in files {
        let inside = file.strip_prefix(&primary(stand).data_dir).unwrap();
        let found = std::fs::read(place.data_dir.join(inside)).unwrap_or_default();
        let (bytes, wanted) = (found.len(), expected.len());
        assert!(*expected == found, "{backup}: {} has {bytes} bytes, not those {wanted}", inside.display());
    }
}
