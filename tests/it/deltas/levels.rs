//! A stored chain of one segment's backups, read by plain code of the tests' own: what each backup stores of each file, and
//! what that comes to.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use codec::tar::{ArchiveReader, Kind};
use codec::{Cipher, Codec, Decoder};
use formats::increment::PageIncrement;
use serde_json::Value;

/// One backup of a chain.
pub struct Level {
    pub name: String,
    pub sentinel: Value,
    /// `Files` of files_metadata.json.
    pub files: Value,
    /// Regular members of the parts, by path.
    pub members: BTreeMap<String, Vec<u8>>,
}

/// Contents of files by path.
pub type Tree = BTreeMap<String, Vec<u8>>;

pub fn read(path: &Path) -> Value {
    let text = std::fs::read(path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("parse {}: {e}", path.display()))
}

/// The backup `name` of the repository at `root` and all below it, the full backup first.
pub fn chain(root: &Path, name: &str, cipher: &Cipher) -> Vec<Level> {
    let mut levels = vec![level(root, name, cipher)];
    while let Some(below) = levels[0].sentinel["DeltaFrom"].as_str().map(str::to_string) {
        levels.insert(0, level(root, &below, cipher));
    }
    levels
}

pub fn level(root: &Path, name: &str, cipher: &Cipher) -> Level {
    let folder = root.join("basebackups_005");
    let sentinel = read(&folder.join(format!("{name}_backup_stop_sentinel.json")));
    let files = read(&folder.join(name).join("files_metadata.json"))["Files"].take();
    let mut members = BTreeMap::new();
    for part in std::fs::read_dir(folder.join(name).join("tar_partitions")).unwrap() {
        let path = part.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("part_") {
            members_of(&path, cipher, &mut members);
        }
    }
    Level { name: name.to_string(), sentinel, files, members }
}

fn members_of(part: &Path, cipher: &Cipher, members: &mut Tree) {
    let (_, codec) = Codec::from_file_name(part.file_name().unwrap().to_str().unwrap());
    let mut archive = ArchiveReader::new(Decoder::new(codec, cipher, File::open(part).unwrap()).unwrap());
    while let Some(member) = archive.next_member().unwrap() {
        if member.kind != Kind::File {
            continue;
        }
        let mut content = vec![0; member.size as usize];
        let mut filled = 0;
        while filled < content.len() {
            filled += archive.read_content(&mut content[filled..]).unwrap();
        }
        members.insert(member.name_str().unwrap().to_string(), content);
    }
}

impl Level {
    pub fn says(&self, path: &str, key: &str) -> bool {
        self.files[path][key] == Value::Bool(true)
    }

    /// The increment of a file, and the size of its pages.
    pub fn increment(&self, path: &str) -> (PageIncrement, u32) {
        let stored = &self.members[path];
        PageIncrement::read(&mut stored.as_slice(), stored.len() as u64).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// What the backup makes of the tree of the backup below it. Append-optimized files lie elsewhere and are left out.
    pub fn over(&self, below: &Tree) -> Tree {
        let mut tree = Tree::new();
        for path in self.files.as_object().unwrap().keys() {
            let content = match self.members.get(path) {
                Some(_) if self.says(path, "IsIncremented") => self.merged(path, &below[path]),
                Some(stored) => stored.clone(),
                None if self.says(path, "IsSkipped") && below.contains_key(path) => below[path].clone(),
                None => continue,
            };
            tree.insert(path.clone(), content);
        }
        tree
    }

    fn merged(&self, path: &str, below: &[u8]) -> Vec<u8> {
        let (increment, page_bytes) = self.increment(path);
        let mut content = below.to_vec();
        content.resize(increment.file_bytes as usize, 0);
        let pages = &self.members[path][increment.head().len()..];
        for (block, page) in increment.blocks.iter().zip(pages.chunks_exact(page_bytes.max(1) as usize)) {
            let from = *block as usize * page.len();
            content.resize(content.len().max(from + page.len()), 0);
            content[from..from + page.len()].copy_from_slice(page);
        }
        content
    }
}

/// What the last of `levels` restores to.
pub fn restored(levels: &[Level]) -> Tree {
    levels.iter().fold(Tree::new(), |below, level| level.over(&below))
}
