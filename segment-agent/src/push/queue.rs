//! What is still to be packed, shared by the workers of one segment.
//!
//! A first walk adds up the sizes and remembers the large files; the workers take those first, largest first, so that no
//! worker is left alone with a big file at the end. The second walk then feeds them everything else, lazily.

use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use formats::TablespaceSpec;

use super::walk::{Entry, Walk};
use crate::error::Result;

/// From this size on a file is worth being started early.
const LARGE_FILE_BYTES: u64 = 32 << 20;

pub struct Queue {
    state: Mutex<State>,
    /// Bytes of all files at the time of the first walk.
    pub total_bytes: u64,
    /// Sizes of everything that was met, directories included: the sentinel's DataCatalogSize.
    pub catalog_bytes: u64,
    /// The tablespaces of the data directory.
    pub tablespaces: TablespaceSpec,
}

/// So many files may be set aside before a worker turns to them.
const SET_ASIDE_MAX: usize = 1000;

struct State {
    /// Files that become objects of their own, met by workers that had a part open.
    set_aside: VecDeque<Entry>,
    large: VecDeque<Entry>,
    large_names: HashSet<String>,
    walk: Walk,
}

impl Queue {
    /// Walks the directory once.
    pub fn survey(data_dir: &Path) -> Result<Self> {
        let (mut total_bytes, mut catalog_bytes) = (0, 0);
        let mut large = Vec::new();
        let mut walk = Walk::new(data_dir);
        for entry in walk.by_ref() {
            let entry = entry?;
            let size = entry.metadata.len();
            catalog_bytes += size;
            if entry.is_file() {
                total_bytes += size;
                if size >= LARGE_FILE_BYTES {
                    large.push(entry);
                }
            }
        }
        large.sort_by_key(|entry| std::cmp::Reverse(entry.metadata.len()));
        let large_names = large.iter().map(|entry| entry.name.clone()).collect();
        let tablespaces = walk.tablespaces().clone();
        let state = State { set_aside: VecDeque::new(), large: large.into(), large_names, walk: Walk::new(data_dir) };
        Ok(Self { state: Mutex::new(state), total_bytes, catalog_bytes, tablespaces })
    }

    /// The next entry, for a worker that has no part open.
    pub fn next(&self) -> Result<Option<Entry>> {
        let set_aside = self.lock().set_aside.pop_front();
        if set_aside.is_some() { Ok(set_aside) } else { self.next_to_pack() }
    }

    /// Keeps an entry for a worker that has no part open: an upload of its own beside that of a part would need twice the
    /// memory. The worker that brings it must come back for it.
    pub fn set_aside(&self, entry: Entry) {
        self.lock().set_aside.push_back(entry);
    }

    /// Whether so much was set aside that it is time to close a part.
    pub fn much_is_set_aside(&self) -> bool {
        self.lock().set_aside.len() >= SET_ASIDE_MAX
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next entry that was not handed out yet.
    pub fn next_to_pack(&self) -> Result<Option<Entry>> {
        let mut state = self.lock();
        if let Some(entry) = state.large.pop_front() {
            return Ok(Some(entry));
        }
        while let Some(entry) = state.walk.next() {
            let entry = entry?;
            if !state.large_names.contains(&entry.name) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}
