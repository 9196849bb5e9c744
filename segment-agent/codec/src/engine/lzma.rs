//! The classic `.lzma` container ("LZMA alone"), through liblzma.
//!
//! The header is written here, so that it names the dictionary of WAL-G (8 MiB) while the encoder looks back only as
//! far as its memory budget allows; a smaller look-back than announced is legal.

use liblzma::stream::{Action, Error as LzmaError, Filters, LzmaOptions, Status, Stream};

use super::{Compress, Decompress, Step};
use crate::Error;

const WHAT: &str = "the lzma stream";
/// lc 3, lp 0, pb 2; dictionary 8 MiB; unknown size, so an end mark follows the content.
const HEADER: [u8; 13] = [0x5D, 0, 0, 0x80, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
/// Fast mode with hash chains over 4 MiB: about 30 MiB of memory.
const PRESET: u32 = 3;

pub(crate) struct LzmaCompressor {
    stream: Stream,
    header_written: usize,
}

impl LzmaCompressor {
    pub(crate) fn new() -> Result<LzmaCompressor, Error> {
        let options = LzmaOptions::new_preset(PRESET).map_err(|error| Error::setup("lzma", error))?;
        let mut filters = Filters::new();
        filters.lzma1(&options);
        let stream = Stream::new_raw_encoder(&filters).map_err(|error| Error::setup("lzma", error))?;
        Ok(LzmaCompressor { stream, header_written: 0 })
    }
}

impl Compress for LzmaCompressor {
    fn step(&mut self, input: &[u8], output: &mut [u8], finish: bool) -> Result<Step, Error> {
        let header = output.len().min(HEADER.len() - self.header_written);
        output[..header].copy_from_slice(&HEADER[self.header_written..self.header_written + header]);
        self.header_written += header;
        let action = if finish { Action::Finish } else { Action::Run };
        let mut step = process(&mut self.stream, input, &mut output[header..], action)
            .map_err(|error| Error::setup("lzma compression", error))?;
        step.written += header;
        Ok(step)
    }
}

pub(crate) struct LzmaDecompressor(Stream);

impl LzmaDecompressor {
    pub(crate) fn new() -> Result<LzmaDecompressor, Error> {
        let stream = Stream::new_lzma_decoder(u64::MAX).map_err(|error| Error::setup("lzma", error))?;
        Ok(LzmaDecompressor(stream))
    }
}

impl Decompress for LzmaDecompressor {
    const WHAT: &'static str = WHAT;

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Error> {
        process(&mut self.0, input, output, Action::Run).map_err(|error| Error::corrupt(WHAT, error.to_string()))
    }
}

fn process(stream: &mut Stream, input: &[u8], output: &mut [u8], action: Action) -> Result<Step, LzmaError> {
    let (read, written) = (stream.total_in(), stream.total_out());
    let status = stream.process(input, output, action)?;
    Ok(Step {
        read: (stream.total_in() - read) as usize,
        written: (stream.total_out() - written) as usize,
        ended: status == Status::StreamEnd,
    })
}
