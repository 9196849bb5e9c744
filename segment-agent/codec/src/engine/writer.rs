//! A compressor over a writer.

use std::io::{self, Write};

use super::Compress;
use crate::Error;

const OUTPUT_BYTES: usize = 256 * 1024;

pub(crate) struct StreamWriter<C: Compress, W: Write> {
    compressor: C,
    inner: W,
    output: Vec<u8>,
    filled: usize,
}

impl<C: Compress, W: Write> StreamWriter<C, W> {
    pub(crate) fn new(compressor: C, inner: W) -> StreamWriter<C, W> {
        StreamWriter { compressor, inner, output: vec![0; OUTPUT_BYTES], filled: 0 }
    }

    /// Completes the stream.
    pub(crate) fn finish(mut self) -> Result<W, Error> {
        loop {
            let step = self.compressor.step(&[], &mut self.output[self.filled..], true)?;
            self.filled += step.written;
            self.write_full(step.ended)?;
            if step.ended {
                return Ok(self.inner);
            }
        }
    }

    /// Hands the output on if it is full, or in any case.
    fn write_full(&mut self, in_any_case: bool) -> io::Result<()> {
        if in_any_case || self.filled == self.output.len() {
            self.inner.write_all(&self.output[..self.filled])?;
            self.filled = 0;
        }
        Ok(())
    }
}

impl<C: Compress, W: Write> Write for StreamWriter<C, W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while taken < buf.len() {
            let step = self.compressor.step(&buf[taken..], &mut self.output[self.filled..], false)?;
            taken += step.read;
            self.filled += step.written;
            self.write_full(false)?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
