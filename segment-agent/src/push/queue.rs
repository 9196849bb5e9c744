//! What is still to be packed, shared by the workers of one segment.
//!
//! A first walk adds up the sizes and remembers the large files; the workers take those first, largest first, so that no
//! worker is left alone with a big file at the end. The second walk then feeds them everything else, lazily.

use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

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

struct State {
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
        let state = State { large: large.into(), large_names, walk: Walk::new(data_dir) };
        Ok(Self { state: Mutex::new(state), total_bytes, catalog_bytes, tablespaces })
    }

    /// The next entry to pack.
    pub fn next(&self) -> Result<Option<Entry>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
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
