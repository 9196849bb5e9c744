//! The LZ4 frame format (version 1.6.x of its description), over the block functions of `lz4_flex`.
//!
//! Own code, because a frame reader must insist on end mark and checksum and go on to the next frame, and because a
//! writer should compress straight from the caller's memory.

mod descriptor;
mod reader;
mod writer;

pub(crate) use reader::FrameReader;
pub(crate) use writer::FrameWriter;

const WHAT: &str = "the lz4 stream";

/// First four bytes of a frame.
const MAGIC: u32 = 0x184D_2204;
/// First four bytes of a legacy frame.
const LEGACY_MAGIC: u32 = 0x184C_2102;
/// First four bytes of a skippable frame, whose last four bits are free.
const SKIPPABLE_MAGIC: u32 = 0x184D_2A50;

/// Set in a block's size if its content is stored as it is.
const STORED_FLAG: u32 = 0x8000_0000;
/// How far back matches can reach, also into earlier blocks of a frame with linked blocks.
const WINDOW_BYTES: usize = 64 * 1024;
