//! The tables of a history: their files, and what a catalog would say of them.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use pgclient::{AoKind, AoSegmentFile};

use super::random::Random;
use crate::push::shared::Found;

const DATABASE: u32 = 5;

/// Few numbers, so that they are used again and again.
const FILE_NUMBERS: u64 = 3;
const SEGMENTS: u64 = 3;
const LARGEST_PIECE: u64 = 3000;

#[derive(Clone, Debug, Default)]
struct File {
    content: Vec<u8>,
    /// Where the next insert writes; what follows is of a transaction that did not commit.
    eof: usize,
    mod_count: i64,
}

#[derive(Clone, Debug)]
pub struct World {
    files: BTreeMap<(u32, u32), File>,
    pub timeline: u32,
    /// Seconds since 1970 of the last write: every write has a time of its own, and none is recent.
    clock: u64,
}

impl Default for World {
    fn default() -> Self {
        Self { files: BTreeMap::new(), timeline: 1, clock: 1_000_000_000 }
    }
}

impl World {
    /// One change of one file.
    pub fn change(&mut self, random: &mut Random) {
        let number = 16390 + random.below(FILE_NUMBERS) as u32;
        let segment = 1 + 127 * random.below(SEGMENTS) as u32;
        let file = self.files.entry((number, segment)).or_default();
        let count = random.below(LARGEST_PIECE) as usize;
        match random.below(12) {
            0..4 => file.insert(random.bytes(count)),
            // The transaction is rolled back, or still under way.
            4 => file.write(random.bytes(count)),
            5 => file.eof = file.content.len(),
            6 => file.mod_count += 1,
            7 => file.rewrite(random.bytes(count)),
            // To the same logical end and the same number of changes.
            8 => {
                let mod_count = file.mod_count;
                file.rewrite(random.bytes(file.eof));
                file.mod_count = mod_count;
            }
            9 => *file = File { mod_count: file.mod_count + 1, ..File::default() },
            // Dropped, and made anew under the same number.
            10 => {
                *file = File::default();
                file.insert(random.bytes(count));
            }
            _ => {
                self.files.remove(&(number, segment));
            }
        }
    }

    /// The files of an earlier time, on a timeline of their own.
    pub fn set_back_to(&self, earlier: &World) -> World {
        World { timeline: self.timeline + 1, clock: self.clock, ..earlier.clone() }
    }

    /// By the name that a walk gives them.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let files = self.files.iter();
        files.map(|((number, segment), file)| (name(*number, *segment), file.content.clone())).collect()
    }

    /// Writes the files that differ, and removes those that are gone.
    pub fn write_to(&mut self, data_dir: &Path) {
        let folder = data_dir.join(format!("base/{DATABASE}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::create_dir_all(data_dir.join("global")).unwrap();
        std::fs::write(data_dir.join("global/pg_control"), b"control").unwrap();
        std::fs::write(data_dir.join("PG_VERSION"), b"15\n").unwrap();
        let files = self.files();
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("/{}", path.strip_prefix(data_dir).unwrap().display());
            if !files.contains_key(&name) {
                std::fs::remove_file(path).unwrap();
            }
        }
        for (name, content) in files {
            let path = data_dir.join(name.trim_start_matches('/'));
            if std::fs::read(&path).ok().as_ref() != Some(&content) {
                self.clock += 1;
                let mut file = std::fs::File::create(path).unwrap();
                file.write_all(&content).unwrap();
                file.set_modified(UNIX_EPOCH + Duration::from_secs(self.clock)).unwrap();
            }
        }
    }

    /// What the catalog says.
    pub fn found(&self) -> Found {
        let mut found = Found::default();
        for ((relfilenode, segment_number), file) in &self.files {
            found.add(&AoSegmentFile {
                tablespace: 1663,
                database: DATABASE,
                relfilenode: *relfilenode,
                segment_number: *segment_number,
                kind: if *segment_number > 1 { AoKind::Column } else { AoKind::Row },
                eof: file.eof as i64,
                mod_count: file.mod_count,
                name_md5: u128::from(*relfilenode),
            });
        }
        found
    }
}

impl File {
    fn write(&mut self, bytes: Vec<u8>) {
        let end = self.eof + bytes.len();
        self.content.resize(self.content.len().max(end), 0);
        self.content[self.eof..end].copy_from_slice(&bytes);
    }

    fn insert(&mut self, bytes: Vec<u8>) {
        let end = self.eof + bytes.len();
        self.write(bytes);
        self.eof = end;
        self.mod_count += 1;
    }

    fn rewrite(&mut self, bytes: Vec<u8>) {
        self.eof = bytes.len();
        self.content = bytes;
        self.mod_count += 1;
    }
}

fn name(number: u32, segment: u32) -> String {
    format!("/base/{DATABASE}/{number}.{segment}")
}
