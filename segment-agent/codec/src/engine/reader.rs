//! A decompressor over a reader.
//!
//! The end is only reported when a frame is complete and the source has nothing left.

use std::io::{self, BufRead, Read};

use super::Decompress;
use crate::Error;

pub(crate) struct StreamReader<D: Decompress, R: BufRead> {
    decompressor: D,
    source: R,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    InFrame,
    AfterFrame,
    Ended,
}

impl<D: Decompress, R: BufRead> StreamReader<D, R> {
    pub(crate) fn new(decompressor: D, source: R) -> StreamReader<D, R> {
        StreamReader { decompressor, source, state: State::InFrame }
    }

    fn read_next(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        while self.state != State::Ended {
            let input = match self.source.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            };
            if self.state == State::AfterFrame {
                if input.is_empty() {
                    self.state = State::Ended;
                    break;
                }
                self.decompressor.start_next_frame()?;
                self.state = State::InFrame;
            }
            let is_source_empty = input.is_empty();
            let step = self.decompressor.step(input, buf)?;
            self.source.consume(step.read);
            if step.ended {
                self.state = State::AfterFrame;
            }
            if step.written > 0 {
                return Ok(step.written);
            }
            if !step.ended && step.read == 0 {
                return Err(match is_source_empty {
                    true => Error::Truncated { what: D::WHAT },
                    false => Error::corrupt(D::WHAT, "it leads nowhere"),
                });
            }
        }
        Ok(0)
    }
}

impl<D: Decompress, R: BufRead> Read for StreamReader<D, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        Ok(self.read_next(buf)?)
    }
}
