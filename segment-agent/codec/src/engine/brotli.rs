//! Raw brotli streams, through the C library. The format has no checksum.

use brotlic::decode::DecoderInfo;
use brotlic::encode::BrotliOperation;
use brotlic::{BrotliDecoder, BrotliEncoder, BrotliEncoderOptions, Quality, WindowSize};

use super::{Compress, Decompress, Step};
use crate::Error;

const WHAT: &str = "the brotli stream";
/// What WAL-G writes with.
const QUALITY: u8 = 3;
const WINDOW_BITS: u8 = 22;

pub(crate) struct BrotliCompressor(BrotliEncoder);

impl BrotliCompressor {
    pub(crate) fn new() -> Result<BrotliCompressor, Error> {
        let setup = |why: String| Error::setup("brotli", why);
        let quality = Quality::new(QUALITY).map_err(|error| setup(error.to_string()))?;
        let window = WindowSize::new(WINDOW_BITS).map_err(|error| setup(error.to_string()))?;
        let encoder = BrotliEncoderOptions::new().quality(quality).window_size(window).build();
        Ok(BrotliCompressor(encoder.map_err(|error| setup(error.to_string()))?))
    }
}

impl Compress for BrotliCompressor {
    fn step(&mut self, input: &[u8], output: &mut [u8], finish: bool) -> Result<Step, Error> {
        let operation = if finish { BrotliOperation::Finish } else { BrotliOperation::Process };
        let result =
            self.0.compress(input, output, operation).map_err(|error| Error::setup("brotli compression", error))?;
        Ok(Step { read: result.bytes_read, written: result.bytes_written, ended: self.0.is_finished() })
    }
}

pub(crate) struct BrotliDecompressor(BrotliDecoder);

impl BrotliDecompressor {
    pub(crate) fn new() -> BrotliDecompressor {
        BrotliDecompressor(BrotliDecoder::new())
    }
}

impl Decompress for BrotliDecompressor {
    const WHAT: &'static str = WHAT;

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Error> {
        let result = self.0.decompress(input, output).map_err(|error| Error::corrupt(WHAT, format!("{error:?}")))?;
        Ok(Step { read: result.bytes_read, written: result.bytes_written, ended: result.info == DecoderInfo::Finished })
    }
}
