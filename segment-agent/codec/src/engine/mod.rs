//! Streaming compressors and decompressors of other libraries behind one shape: a step turns some input into some
//! output. `StreamWriter` and `StreamReader` do the buffering and decide what counts as a complete stream.

mod brotli;
mod gzip;
mod lzma;
mod reader;
mod writer;
mod zstandard;

pub(crate) use brotli::{BrotliCompressor, BrotliDecompressor};
pub(crate) use gzip::GzipDecompressor;
pub(crate) use lzma::{LzmaCompressor, LzmaDecompressor};
pub(crate) use reader::StreamReader;
pub(crate) use writer::StreamWriter;
pub(crate) use zstandard::{ZstdCompressor, ZstdDecompressor};

use crate::Error;

/// What one step did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// Bytes taken from the input.
    pub(crate) read: usize,
    /// Bytes put into the output.
    pub(crate) written: usize,
    /// Compressor: the stream is complete. Decompressor: a frame is complete and verified.
    pub(crate) ended: bool,
}

/// A compressor of one stream.
pub(crate) trait Compress {
    /// Takes input and gives output as far as there is room. With `finish`, `input` is the last of the stream, and the
    /// step is repeated with what is left of it until it has ended.
    fn step(&mut self, input: &[u8], output: &mut [u8], finish: bool) -> Result<Step, Error>;
}

/// A decompressor of one or more frames.
pub(crate) trait Decompress {
    /// How errors call the stream.
    const WHAT: &'static str;

    /// Takes input and gives output as far as there is room. Empty input asks for output that is held back.
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Error>;

    /// Called when input follows a complete frame. Refuses it where the format knows only one frame.
    fn start_next_frame(&mut self) -> Result<(), Error> {
        Err(Error::corrupt(Self::WHAT, "there is data after its end"))
    }
}
