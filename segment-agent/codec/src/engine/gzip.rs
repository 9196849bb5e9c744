//! gzip, read only: one or more members, each with its checksum.

use flate2::{FlushDecompress, Status};

use super::{Decompress, Step};
use crate::Error;

const WHAT: &str = "the gzip stream";
const WINDOW_BITS: u8 = 15;

pub(crate) struct GzipDecompressor(flate2::Decompress);

impl GzipDecompressor {
    pub(crate) fn new() -> GzipDecompressor {
        GzipDecompressor(flate2::Decompress::new_gzip(WINDOW_BITS))
    }
}

impl Decompress for GzipDecompressor {
    const WHAT: &'static str = WHAT;

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Error> {
        let (read, written) = (self.0.total_in(), self.0.total_out());
        let status = self
            .0
            .decompress(input, output, FlushDecompress::None)
            .map_err(|error| Error::corrupt(WHAT, error.to_string()))?;
        Ok(Step {
            read: (self.0.total_in() - read) as usize,
            written: (self.0.total_out() - written) as usize,
            ended: status == Status::StreamEnd,
        })
    }

    fn start_next_frame(&mut self) -> Result<(), Error> {
        *self = GzipDecompressor::new();
        Ok(())
    }
}
