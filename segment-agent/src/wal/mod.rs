//! The archive of write-ahead log files: storing one, fetching one, and telling whether a range is complete.
//!
//! Files of every kind (segments, `.partial`, `.backup`, `.history`) are stored under their own name. Nothing here needs a
//! runtime where the storage is local, for an archive command is started once per file.

mod archived;
mod contents;
mod fetch;
mod push;
pub mod report;
pub mod show;
pub mod verify;

pub use archived::{Range, missing};
pub use contents::{Contents, history, object_names, segment_size};
pub use fetch::{fetch, open, read_to_end};
pub use push::{PushOptions, Pushed, push};

/// Bytes handled at once: the encoder takes them without a copy, and they stay in the processor's cache from one step to the next.
const CHUNK_BYTES: usize = 256 << 10;
