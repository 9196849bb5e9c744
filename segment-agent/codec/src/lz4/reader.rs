//! Reads LZ4 frames: every legal kind, one after the other, until the source ends.
//!
//! The end is only reported after a frame's end mark and content checksum (where it has one) and the end of the source.
//! Legacy frames have neither; their end is the end of the source.

use std::io::{self, BufRead, Read};

use lz4_flex::block::{decompress_into, decompress_into_with_dict};
use xxhash_rust::xxh32::{Xxh32, xxh32};

use super::descriptor::{Descriptor, read_exact, read_u32};
use super::{LEGACY_MAGIC, MAGIC, SKIPPABLE_MAGIC, STORED_FLAG, WHAT, WINDOW_BYTES};
use crate::Error;

/// Content of a block of a legacy frame.
const LEGACY_BLOCK_BYTES: usize = 8 * 1024 * 1024;

pub(crate) struct FrameReader<R: BufRead> {
    source: R,
    state: State,
    /// A compressed block.
    input: Vec<u8>,
    /// The window of earlier content (linked blocks only), then one block of content.
    output: Vec<u8>,
    /// Part of `output` that was not delivered yet.
    ready: std::ops::Range<usize>,
    window: Window,
    has_frame: bool,
}

enum State {
    BetweenFrames,
    InFrame(Frame),
    InLegacyFrame,
    Ended,
}

/// Earlier content of a frame with linked blocks: 64 KiB in front of the block's own area, filled from its end.
#[derive(Default)]
struct Window {
    valid_bytes: usize,
    last_block_bytes: usize,
}

struct Frame {
    descriptor: Descriptor,
    checksum: Xxh32,
    content_bytes: u64,
}

/// The size field of a block.
struct BlockSize {
    bytes: usize,
    is_stored: bool,
}

impl<R: BufRead> FrameReader<R> {
    pub(crate) fn new(source: R) -> FrameReader<R> {
        FrameReader {
            source,
            state: State::BetweenFrames,
            input: Vec::new(),
            output: Vec::new(),
            ready: 0..0,
            window: Window::default(),
            has_frame: false,
        }
    }

    fn read_next(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        loop {
            if !self.ready.is_empty() {
                let taken = buf.len().min(self.ready.len());
                let from = self.ready.start;
                buf[..taken].copy_from_slice(&self.output[from..from + taken]);
                self.ready.start += taken;
                return Ok(taken);
            }
            match &self.state {
                State::Ended => return Ok(0),
                State::BetweenFrames => self.start_frame()?,
                State::InLegacyFrame => self.read_legacy_block()?,
                State::InFrame(_) => {
                    let direct = self.read_block(buf)?;
                    if direct > 0 {
                        return Ok(direct);
                    }
                }
            }
        }
    }

    fn is_at_end(&mut self) -> Result<bool, Error> {
        loop {
            match self.source.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Ok(result?.is_empty()),
            }
        }
    }

    fn start_frame(&mut self) -> Result<(), Error> {
        if self.is_at_end()? {
            if !self.has_frame {
                return Err(Error::Truncated { what: WHAT });
            }
            self.state = State::Ended;
            return Ok(());
        }
        let magic = read_u32(&mut self.source)?;
        self.start_frame_of(magic)
    }

    fn start_frame_of(&mut self, magic: u32) -> Result<(), Error> {
        self.state = match magic {
            MAGIC => {
                let descriptor = Descriptor::read(&mut self.source)?;
                self.window = Window::default();
                State::InFrame(Frame { descriptor, checksum: Xxh32::new(0), content_bytes: 0 })
            }
            LEGACY_MAGIC => State::InLegacyFrame,
            _ if magic & !0xF == SKIPPABLE_MAGIC => {
                self.skip_frame()?;
                State::BetweenFrames
            }
            _ => return Err(Error::corrupt(WHAT, format!("{magic:08X} is not the start of a frame"))),
        };
        self.has_frame |= !matches!(self.state, State::BetweenFrames);
        Ok(())
    }

    fn skip_frame(&mut self) -> Result<(), Error> {
        let length = u64::from(read_u32(&mut self.source)?);
        let skipped = io::copy(&mut self.source.by_ref().take(length), &mut io::sink())?;
        if skipped < length {
            return Err(Error::Truncated { what: WHAT });
        }
        Ok(())
    }

    /// Reads one block of the current frame into `output`, or straight into `buf` if it is large enough (then the
    /// number of bytes is returned), or the frame's end.
    fn read_block(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        let State::InFrame(frame) = &mut self.state else { return Ok(0) };
        let Some(size) = read_block_size(&mut self.source, frame.descriptor.block_max_bytes)? else {
            finish_frame(&mut self.source, frame)?;
            self.state = State::BetweenFrames;
            return Ok(0);
        };
        read_exact(&mut self.source, resized(&mut self.input, size.bytes))?;
        let input = &self.input[..size.bytes];
        if frame.descriptor.block_checksums && read_u32(&mut self.source)? != xxh32(input, 0) {
            return Err(Error::corrupt(WHAT, "a block has a wrong checksum"));
        }
        let max = frame.descriptor.block_max_bytes;
        if frame.descriptor.linked_blocks {
            let (dictionary, block) = self.window.slide(resized(&mut self.output, WINDOW_BYTES + max));
            let length = decode(input, size.is_stored, block, dictionary)?;
            frame.add(&block[..length])?;
            self.window.last_block_bytes = length;
            self.ready = WINDOW_BYTES..WINDOW_BYTES + length;
            return Ok(0);
        }
        let is_direct = buf.len() >= max;
        let block = if is_direct { &mut buf[..max] } else { &mut resized(&mut self.output, max)[..max] };
        let length = decode(input, size.is_stored, block, &[])?;
        frame.add(&block[..length])?;
        self.ready = if is_direct { 0..0 } else { 0..length };
        Ok(if is_direct { length } else { 0 })
    }

    /// Reads one block of a legacy frame, or finds its end: the end of the source or another frame's magic number.
    fn read_legacy_block(&mut self) -> Result<(), Error> {
        if self.is_at_end()? {
            self.state = State::Ended;
            return Ok(());
        }
        let size = read_u32(&mut self.source)?;
        if size as usize > lz4_flex::block::get_maximum_output_size(LEGACY_BLOCK_BYTES) {
            return self.start_frame_of(size);
        }
        read_exact(&mut self.source, resized(&mut self.input, size as usize))?;
        let block = resized(&mut self.output, LEGACY_BLOCK_BYTES);
        let length = decode(&self.input[..size as usize], false, block, &[])?;
        self.ready = 0..length;
        Ok(())
    }
}

impl<R: BufRead> Read for FrameReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        Ok(self.read_next(buf)?)
    }
}

impl Window {
    /// Moves the last content in front of the area for the next block; returns both.
    fn slide<'a>(&mut self, output: &'a mut [u8]) -> (&'a [u8], &'a mut [u8]) {
        let end = WINDOW_BYTES + self.last_block_bytes;
        self.valid_bytes = (self.valid_bytes + self.last_block_bytes).min(WINDOW_BYTES);
        output.copy_within(end - self.valid_bytes..end, WINDOW_BYTES - self.valid_bytes);
        let (window, block) = output.split_at_mut(WINDOW_BYTES);
        (&window[WINDOW_BYTES - self.valid_bytes..], block)
    }
}

impl Frame {
    /// Takes note of decoded content.
    fn add(&mut self, content: &[u8]) -> Result<(), Error> {
        self.content_bytes += content.len() as u64;
        if self.descriptor.content_bytes.is_some_and(|announced| self.content_bytes > announced) {
            return Err(Error::corrupt(WHAT, "a frame has more content than its header says"));
        }
        if self.descriptor.content_checksum {
            self.checksum.update(content);
        }
        Ok(())
    }
}

/// The next block's size; `None` for the end mark.
fn read_block_size(source: &mut impl Read, max: usize) -> Result<Option<BlockSize>, Error> {
    let field = read_u32(source)?;
    if field == 0 {
        return Ok(None);
    }
    let size = BlockSize { bytes: (field & !STORED_FLAG) as usize, is_stored: field & STORED_FLAG != 0 };
    if size.bytes > max {
        return Err(Error::corrupt(WHAT, format!("a block of {} bytes where {max} are the maximum", size.bytes)));
    }
    Ok(Some(size))
}

/// Verifies what follows the end mark.
fn finish_frame(source: &mut impl Read, frame: &Frame) -> Result<(), Error> {
    if frame.descriptor.content_checksum && read_u32(source)? != frame.checksum.digest() {
        return Err(Error::corrupt(WHAT, "the content has a wrong checksum"));
    }
    if frame.descriptor.content_bytes.is_some_and(|announced| announced != frame.content_bytes) {
        return Err(Error::corrupt(WHAT, "a frame has less content than its header says"));
    }
    Ok(())
}

/// Decodes one block into `block`; returns the length of its content.
fn decode(input: &[u8], is_stored: bool, block: &mut [u8], dictionary: &[u8]) -> Result<usize, Error> {
    if is_stored {
        block[..input.len()].copy_from_slice(input);
        return Ok(input.len());
    }
    let decoded = match dictionary {
        [] => decompress_into(input, block),
        _ => decompress_into_with_dict(input, block, dictionary),
    };
    decoded.map_err(|error| Error::corrupt(WHAT, error.to_string()))
}

/// `buffer`, at least `length` bytes long. It only grows, and new memory is untouched until it is needed.
fn resized(buffer: &mut Vec<u8>, length: usize) -> &mut [u8] {
    if buffer.len() < length {
        *buffer = vec![0; length];
    }
    &mut buffer[..length]
}
