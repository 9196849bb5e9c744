//! Append-optimized and PAX files in the segment's shared folders: which objects the backups need, and what they must hold.
//!
//! The blocks of append-optimized files are followed up to the logical end: what was damaged on the server's own disk has the right
//! hash, and the wrong checksum in its block.
//!
//! An increment holds the end of a file whose beginning is another object. The objects of a file form a tree: each is read once,
//! and the state of its hashes where an increment may go on is kept until that increment was read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;

use codec::{Codec, Decoder};
use formats::ao::AoFile;
use formats::{BackupName, ContentHash, layout};
use pgdata::AoBlocks;
use xxhash_rust::xxh3::Xxh3;

use super::Verification;
use super::facts::Facts;
use crate::bridge::{ObjectSource, read_full};
use crate::error::{Error, Result};

/// `wi1V`, the whole file's length, and the length of what is below.
const INCREMENT_MAGIC: [u8; 4] = [0x77, 0x69, 0x31, 0x56];
const INCREMENT_HEADER_BYTES: usize = 20;

/// One object.
pub struct Node {
    pub key: String,
    is_increment: bool,
    /// Of a PAX file otherwise.
    has_blocks: bool,
    expected: Vec<Expected>,
    children: Vec<usize>,
}

/// What an entry of a backup promises of the whole file after this object.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Expected {
    /// Logical end: the bytes before it have the checksum.
    eof: u64,
    /// XXH3-128, hexadecimal; empty if unknown.
    checksum: String,
    size: Option<u64>,
    blake3: Option<ContentHash>,
}

/// The shared objects of all backups that are verified.
#[derive(Default)]
pub struct Plan {
    nodes: Vec<Node>,
    by_place: HashMap<(Option<usize>, String), usize>,
    /// The object that is the end of a file in a backup.
    of_file: BTreeMap<BackupName, BTreeMap<String, usize>>,
    /// Objects that begin a file.
    pub roots: Vec<usize>,
}

impl Plan {
    /// Adds a backup; its base must have been added before.
    pub fn add(&mut self, facts: &Facts, base: Option<&Facts>, run: &Verification) {
        let inherited = base.and_then(|base| self.of_file.get(&base.name)).cloned().unwrap_or_default();
        let mut of_file = BTreeMap::new();
        for (path, file) in &facts.ao {
            facts.give(path);
            match self.place(file, inherited.get(path).copied()) {
                Some(node) => {
                    self.expect(node, expected(file));
                    of_file.insert(path.clone(), node);
                }
                None => {
                    let why = format!("{path} is an increment, but no backup below has the beginning of the file");
                    run.findings.add(&layout::ao_files_metadata_key(&facts.name), why);
                }
            }
        }
        for (path, file) in &facts.pax {
            facts.give(path);
            let node = self.node(None, layout::paxfile_key(&file.storage_path), false);
            self.expect(node, Expected { eof: 0, checksum: String::new(), size: file.size, blake3: file.blake3 });
            of_file.insert(path.clone(), node);
        }
        let is_kept = |path: &str| match &facts.files {
            Some(files) => files
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .get(path)
                .is_some_and(|state| state.is_skipped),
            None => false,
        };
        for (path, node) in inherited {
            if !of_file.contains_key(&path) && is_kept(&path) {
                of_file.insert(path, node);
            }
        }
        self.of_file.insert(facts.name.clone(), of_file);
    }

    /// Keys of the objects that the files of `backup` consist of, beginnings included. `backup` was added.
    pub fn keys_of(&self, backup: &BackupName) -> BTreeSet<&str> {
        let parents: HashMap<usize, usize> =
            self.by_place.iter().filter_map(|((parent, _), node)| Some((*node, (*parent)?))).collect();
        let mut keys = BTreeSet::new();
        for node in self.of_file.get(backup).into_iter().flat_map(BTreeMap::values) {
            let mut next = Some(*node);
            while let Some(node) = next {
                keys.insert(self.nodes[node].key.as_str());
                next = parents.get(&node).copied();
            }
        }
        keys
    }

    pub fn bytes(&self) -> u64 {
        let largest = |node: &Node| node.expected.iter().map(|e| e.size.unwrap_or(e.eof)).max().unwrap_or(0);
        self.roots.iter().map(|root| largest(&self.nodes[*root])).sum()
    }

    fn place(&mut self, file: &AoFile, below: Option<usize>) -> Option<usize> {
        let key = layout::aosegment_key(&file.storage_path);
        if !file.is_incremented {
            return Some(self.node(None, key, false));
        }
        // An increment that an older backup stored already is the object of that backup.
        let below = below?;
        if self.nodes[below].key == key { Some(below) } else { Some(self.node(Some(below), key, true)) }
    }

    fn node(&mut self, parent: Option<usize>, key: String, is_increment: bool) -> usize {
        if let Some(node) = self.by_place.get(&(parent, key.clone())) {
            return *node;
        }
        let node = self.nodes.len();
        self.by_place.insert((parent, key.clone()), node);
        let has_blocks = key.starts_with(&layout::aosegment_key(""));
        self.nodes.push(Node { key, is_increment, has_blocks, expected: Vec::new(), children: Vec::new() });
        match parent {
            Some(parent) => self.nodes[parent].children.push(node),
            None => self.roots.push(node),
        }
        node
    }

    fn expect(&mut self, node: usize, expected: Expected) {
        let all = &mut self.nodes[node].expected;
        if !all.contains(&expected) {
            all.push(expected);
        }
    }

    /// Reads the object `root` and all increments that go on from it.
    pub fn check(&self, run: &Verification, root: usize, buffer: &mut [u8]) -> Result<()> {
        self.check_from(run, root, &BTreeMap::new(), buffer)
    }

    fn check_from(&self, run: &Verification, node: usize, below: &States, buffer: &mut [u8]) -> Result<()> {
        let node = &self.nodes[node];
        let read = read_object(run, node, below, buffer);
        let states = run.findings.sift(&node.key, read)?.unwrap_or_default();
        node.children.iter().try_for_each(|child| self.check_from(run, *child, &states, buffer))
    }
}

fn expected(file: &AoFile) -> Expected {
    let eof = u64::try_from(file.eof).unwrap_or(0);
    Expected { eof, checksum: file.checksum.clone(), size: file.size, blake3: file.blake3 }
}

/// Hashes of the first bytes of a file, and its blocks.
#[derive(Clone)]
struct State {
    blake3: blake3::Hasher,
    xxh3: Xxh3,
    blocks: AoBlocks,
}

impl State {
    fn new() -> Self {
        Self { blake3: blake3::Hasher::new(), xxh3: Xxh3::new(), blocks: AoBlocks::default() }
    }
}

/// By number of bytes.
type States = BTreeMap<u64, State>;

fn read_object(run: &Verification, node: &Node, below: &States, buffer: &mut [u8]) -> Result<States> {
    let source = ObjectSource::open(&run.driver, &run.cancel, run.repository.store(), &node.key)?;
    let source = run.metered(&node.key, source);
    let decoder = Decoder::new(Codec::None, &run.repository.cipher, source);
    let mut decoder = decoder.map_err(|error| run.findings.decoding(&node.key, error))?;
    let mut position = 0;
    let mut state = Some(State::new());
    let mut end = None;
    if node.is_increment {
        let (file_bytes, offset) = read_header(run, node, &mut decoder)?;
        (position, end) = (offset, Some(file_bytes));
        state = below.get(&offset).cloned();
        if state.is_none() && !below.is_empty() {
            run.findings.add(&node.key, format!("it goes on from byte {offset}, where nothing below it ends"));
        }
    }
    // What is kept: where an entry says that the file ends, for there its checksum holds and an increment may go on.
    let wanted: BTreeSet<u64> = node.expected.iter().flat_map(|e| [Some(e.eof), e.size]).flatten().collect();
    let mut states = States::new();
    let mut keep = |at: u64, state: &Option<State>| {
        if let (true, Some(state)) = (wanted.contains(&at), state) {
            states.insert(at, state.clone());
        }
    };
    keep(position, &state);
    loop {
        let count = read_full(&mut decoder, buffer).map_err(|error| run.findings.decoding(&node.key, error))?;
        let mut content = &buffer[..count];
        while !content.is_empty() {
            let next = wanted.range(position + 1..).next().map_or(content.len() as u64, |at| at - position);
            let (piece, rest) = content.split_at(next.min(content.len() as u64) as usize);
            if let Some(state) = &mut state {
                state.blake3.update(piece);
                state.xxh3.update(piece);
                if node.has_blocks {
                    state.blocks.feed(piece);
                }
            }
            position += piece.len() as u64;
            keep(position, &state);
            content = rest;
        }
        if count < buffer.len() {
            break;
        }
    }
    run.findings.note_decoded();
    if let Some(end) = end.filter(|end| *end != position) {
        run.findings.add(&node.key, format!("it ends at byte {position} instead of {end}"));
    }
    for expected in &node.expected {
        let difference = difference(expected, position, &states);
        let blocks = states.get(&expected.eof).map_or(Ok(()), |state| state.blocks.verdict());
        for why in difference.into_iter().chain(blocks.err()) {
            run.findings.add(&node.key, why);
        }
    }
    Ok(states)
}

fn read_header(run: &Verification, node: &Node, decoder: &mut impl Read) -> Result<(u64, u64)> {
    let mut header = [0; INCREMENT_HEADER_BYTES];
    let count = read_full(decoder, &mut header).map_err(|error| run.findings.decoding(&node.key, error))?;
    let damaged = |why: &str| Err(Error::damaged(&node.key, why));
    if count < header.len() {
        return damaged("the increment is cut off in its header");
    }
    if header[..4] != INCREMENT_MAGIC {
        return damaged("it is listed as an increment, but is none");
    }
    let number = |at: usize| header[at..at + 8].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
    let (file_bytes, offset) = (number(4), number(12));
    if offset >= file_bytes {
        return damaged("the increment ends before it begins");
    }
    Ok((file_bytes, offset))
}

/// How the content of `bytes` bytes differs from what is expected of it.
fn difference(expected: &Expected, bytes: u64, states: &States) -> Option<String> {
    if let Some(size) = expected.size.filter(|size| *size != bytes) {
        return Some(format!("the file has {bytes} bytes with it instead of {size}"));
    }
    if bytes < expected.eof {
        return Some(format!("{} bytes are missing before the logical end of the file", expected.eof - bytes));
    }
    let (at_eof, whole) = (states.get(&expected.eof), expected.size.and_then(|size| states.get(&size)));
    if let (Some(state), Some(blake3)) = (whole, expected.blake3)
        && *state.blake3.finalize().as_bytes() != blake3.0
    {
        return Some("the content has another hash than was noted".to_owned());
    }
    let is_other = |state: &State| format!("{:032x}", state.xxh3.digest128()) != expected.checksum;
    if !expected.checksum.is_empty() && at_eof.is_some_and(is_other) {
        return Some("the content has another checksum than was noted".to_owned());
    }
    None
}
