//! zstd, through the C library.

use zstd::zstd_safe::{
    CCtx, CParameter, DCtx, DParameter, ErrorCode, InBuffer, OutBuffer, get_error_name, zstd_sys::ZSTD_EndDirective,
};

use super::{Compress, Decompress, Step};
use crate::{Error, ZstdLevel};

const WHAT: &str = "the zstd stream";
/// Largest window of the format's C implementation; memory for it is only touched as far as it is used.
const WINDOW_LOG_MAX: u32 = 31;

pub(crate) struct ZstdCompressor(CCtx<'static>);

impl ZstdCompressor {
    /// A frame with a content checksum.
    pub(crate) fn new(level: ZstdLevel) -> Result<ZstdCompressor, Error> {
        let mut context = CCtx::try_create().ok_or_else(|| Error::setup("zstd", "no memory"))?;
        for parameter in [CParameter::CompressionLevel(level.number()), CParameter::ChecksumFlag(true)] {
            context.set_parameter(parameter).map_err(|code| Error::setup("zstd", get_error_name(code)))?;
        }
        Ok(ZstdCompressor(context))
    }
}

impl Compress for ZstdCompressor {
    fn step(&mut self, input: &[u8], output: &mut [u8], finish: bool) -> Result<Step, Error> {
        let mut input = InBuffer::around(input);
        let mut output = OutBuffer::around(output);
        let directive = if finish { ZSTD_EndDirective::ZSTD_e_end } else { ZSTD_EndDirective::ZSTD_e_continue };
        let left = self
            .0
            .compress_stream2(&mut output, &mut input, directive)
            .map_err(|code| Error::setup("zstd compression", get_error_name(code)))?;
        Ok(Step { read: input.pos(), written: output.pos(), ended: finish && left == 0 })
    }
}

pub(crate) struct ZstdDecompressor(DCtx<'static>);

impl ZstdDecompressor {
    pub(crate) fn new() -> Result<ZstdDecompressor, Error> {
        let mut context = DCtx::try_create().ok_or_else(|| Error::setup("zstd", "no memory"))?;
        context
            .set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))
            .map_err(|code| Error::setup("zstd", get_error_name(code)))?;
        Ok(ZstdDecompressor(context))
    }
}

impl Decompress for ZstdDecompressor {
    const WHAT: &'static str = WHAT;

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Error> {
        let mut input = InBuffer::around(input);
        let mut output = OutBuffer::around(output);
        let hint = self.0.decompress_stream(&mut output, &mut input).map_err(refused)?;
        let progressed = input.pos() > 0 || output.pos() > 0;
        Ok(Step { read: input.pos(), written: output.pos(), ended: hint == 0 && progressed })
    }

    /// The library expects the next frame by itself.
    fn start_next_frame(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

fn refused(code: ErrorCode) -> Error {
    Error::corrupt(WHAT, get_error_name(code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Compression;

    #[test]
    fn the_stated_memory_is_enough() {
        for level in [ZstdLevel::Fastest, ZstdLevel::Default, ZstdLevel::Better, ZstdLevel::Best] {
            let mut compressor = ZstdCompressor::new(level).unwrap();
            let mut output = vec![0; 1 << 20];
            compressor.step(&[7; 100_000], &mut output, false).unwrap();
            let held = compressor.0.sizeof() + 256 * 1024 + 200 * 1024;
            let stated = Compression::Zstd(level).encoder_memory_bytes();
            assert!(held <= stated && stated < 2 * held, "{level:?}: {held} of {stated}");
        }
    }
}
