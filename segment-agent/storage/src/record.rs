//! Counts what a store was asked to do, so that a claim such as "listing backups costs two requests" can be a test.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// The operations of a store, as they are counted, made to fail, and named in errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A small object written in one call.
    Put,
    /// The beginning of an upload.
    Upload,
    /// A chunk handed to an upload.
    Write,
    /// The end of an upload, where its object becomes visible.
    Finish,
    /// An upload given up.
    Abort,
    /// An object opened for reading (`get` counts here too).
    Read,
    /// A chunk taken from an opened object.
    Chunk,
    Head,
    List,
    /// A call that deletes any number of objects.
    Delete,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Put | Operation::Write => "write",
            Operation::Upload => "begin the upload of",
            Operation::Finish => "finish the upload of",
            Operation::Abort => "abort the upload of",
            Operation::Read | Operation::Chunk => "read",
            Operation::Head => "look up",
            Operation::List => "list",
            Operation::Delete => "delete",
        })
    }
}

/// How often each operation was asked for since the store was opened, failed calls included.
/// All handles made from one opened store (`at`, `clone`, `failing`) share their counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestCounts {
    pub puts: u64,
    pub uploads: u64,
    pub writes: u64,
    pub finishes: u64,
    pub aborts: u64,
    pub reads: u64,
    pub chunks: u64,
    pub heads: u64,
    pub lists: u64,
    pub deletes: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Recorder {
    counts: [AtomicU64; 10],
}

impl Recorder {
    pub(crate) fn record(&self, operation: Operation) {
        self.counts[operation as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> RequestCounts {
        let count = |operation: Operation| self.counts[operation as usize].load(Ordering::Relaxed);
        RequestCounts {
            puts: count(Operation::Put),
            uploads: count(Operation::Upload),
            writes: count(Operation::Write),
            finishes: count(Operation::Finish),
            aborts: count(Operation::Abort),
            reads: count(Operation::Read),
            chunks: count(Operation::Chunk),
            heads: count(Operation::Head),
            lists: count(Operation::List),
            deletes: count(Operation::Delete),
        }
    }
}
