//! Whether a stream came to its end, or only stopped.
//!
//! The end of standard input is the same for a writer that is done and one that was killed. What gzip and zstd write has an end of
//! its own, so such streams are followed on their way and refused when they stop in the middle.

use std::io::{Sink, Write};

use flate2::write::MultiGzDecoder;
use segment_agent::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// How the end of a file is known to be its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// A file of known size, read whole.
    File,
    /// The compressed stream is complete, and whoever wrote it was still there.
    Compression,
    /// Whoever wrote it was still there; the content itself does not tell.
    Caller,
}

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Follows a stream by the name it is stored under.
pub enum Follower {
    /// Nothing read yet of a name that promises compression.
    Unknown {
        gzip: bool,
        head: Vec<u8>,
    },
    Gzip(Box<MultiGzDecoder<Sink>>),
    Zstd(ZstdFrames),
    /// No compression, or none that is known.
    Opaque,
}

impl Follower {
    pub fn of_name(file: &str) -> Self {
        match file.rsplit('.').next() {
            Some("gz") => Self::Unknown { gzip: true, head: Vec::new() },
            Some("zst") => Self::Unknown { gzip: false, head: Vec::new() },
            _ => Self::Opaque,
        }
    }

    /// True for streams that another compression would only slow down.
    pub fn is_compressed_name(file: &str) -> bool {
        matches!(file.rsplit('.').next(), Some("gz" | "zst"))
    }

    pub fn update(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Opaque => Ok(()),
            Self::Gzip(decoder) => decoder.write_all(bytes).map_err(|error| broken(&error.to_string())),
            Self::Zstd(frames) => frames.update(bytes).map_err(broken),
            Self::Unknown { gzip, head } => {
                head.extend_from_slice(bytes);
                let magic: &[u8] = if *gzip { &GZIP_MAGIC } else { &ZSTD_MAGIC };
                if head.len() < magic.len() {
                    return Ok(());
                }
                let head = std::mem::take(head);
                *self = match (head.starts_with(magic), *gzip) {
                    (false, _) => Self::Opaque,
                    (true, true) => Self::Gzip(Box::new(MultiGzDecoder::new(std::io::sink()))),
                    (true, false) => Self::Zstd(ZstdFrames::default()),
                };
                self.update(&head)
            }
        }
    }

    /// At the end of the stream: an error if it stops in the middle. An empty stream is a whole one.
    pub fn finish(self) -> Result<Ending> {
        match self {
            Self::Opaque | Self::Unknown { .. } => Ok(Ending::Caller),
            Self::Gzip(mut decoder) => match decoder.try_finish() {
                Ok(()) => Ok(Ending::Compression),
                Err(error) => Err(broken(&error.to_string())),
            },
            Self::Zstd(frames) if frames.is_at_end() => Ok(Ending::Compression),
            Self::Zstd(_) => Err(broken("it stops inside of a frame")),
        }
    }
}

fn broken(why: &str) -> Error {
    let what = format!("standard input is not a whole compressed stream ({why}): its writer died");
    Error::refused(what, "nothing was stored; look for the writer's own error, then run the backup again")
}

/// Passes over zstd frames by their headers alone (RFC 8878).
#[derive(Default)]
pub struct ZstdFrames {
    place: Place,
    /// Bytes of the current header so far.
    header: Vec<u8>,
    /// Bytes of the content to pass over.
    skip: u64,
    has_checksum: bool,
    is_last_block: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Frame,
    Block,
    Checksum,
}

impl ZstdFrames {
    fn update(&mut self, mut bytes: &[u8]) -> Result<(), &'static str> {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let passed = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
                self.skip -= passed as u64;
                bytes = &bytes[passed..];
                continue;
            }
            self.settle();
            self.header.push(bytes[0]);
            bytes = &bytes[1..];
            match self.place {
                Place::Frame => self.frame_header()?,
                Place::Block => self.block_header()?,
                // Four bytes, one of which was just taken.
                Place::Checksum => {
                    self.header.clear();
                    (self.place, self.skip) = (Place::Frame, 3);
                }
            }
        }
        Ok(())
    }

    /// After the content of a last block the frame, or its checksum, follows.
    fn settle(&mut self) {
        if self.is_last_block {
            self.is_last_block = false;
            self.place = if self.has_checksum { Place::Checksum } else { Place::Frame };
        }
    }

    fn frame_header(&mut self) -> Result<(), &'static str> {
        let header = &self.header;
        if header.len() < 5 {
            return Ok(());
        }
        let magic = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        if magic & 0xffff_fff0 == 0x184d_2a50 {
            if header.len() == 8 {
                self.skip = u64::from(u32::from_le_bytes([header[4], header[5], header[6], header[7]]));
                self.header.clear();
            }
            return Ok(());
        }
        if header[..4] != ZSTD_MAGIC {
            return Err("what follows a frame is none");
        }
        let descriptor = header[4];
        let is_single = descriptor & 0x20 != 0;
        let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
        let size = [usize::from(is_single), 2, 4, 8][usize::from(descriptor >> 6)];
        if header.len() == 5 + usize::from(!is_single) + dictionary + size {
            self.has_checksum = descriptor & 4 != 0;
            self.place = Place::Block;
            self.header.clear();
        }
        Ok(())
    }

    fn block_header(&mut self) -> Result<(), &'static str> {
        let [a, b, c] = self.header[..] else { return Ok(()) };
        let header = u32::from_le_bytes([a, b, c, 0]);
        self.header.clear();
        self.is_last_block = header & 1 == 1;
        self.skip = match (header >> 1) & 3 {
            // One byte that is repeated.
            1 => 1,
            3 => return Err("a block is of an unknown kind"),
            _ => u64::from(header >> 3),
        };
        Ok(())
    }

    fn is_at_end(&self) -> bool {
        let between = self.place == Place::Frame || (self.is_last_block && !self.has_checksum);
        between && self.header.is_empty() && self.skip == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(file: &str, bytes: &[u8], step: usize) -> Result<Ending> {
        let mut follower = Follower::of_name(file);
        for part in bytes.chunks(step) {
            follower.update(part)?;
        }
        follower.finish()
    }

    fn noise(count: usize) -> Vec<u8> {
        let mut state = 7_u64;
        (0..count)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if state >> 63 == 0 { 0 } else { (state >> 33) as u8 }
            })
            .collect()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8], checksum: bool) -> Vec<u8> {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.include_checksum(checksum).unwrap();
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn whole_streams_are_whole_however_they_come() {
        for plain in [noise(0), noise(1), noise(300_000), vec![0; 1_000_000]] {
            for step in [1, 7, 4096, 1 << 20] {
                let twice = [gzip(&plain), gzip(&plain)].concat();
                assert_eq!(follow("a.gz", &twice, step).unwrap(), Ending::Compression);
                let frames = [zstd(&plain, true), zstd(&plain, false)].concat();
                assert_eq!(follow("a.zst", &frames, step).unwrap(), Ending::Compression, "{} {step}", plain.len());
            }
        }
    }

    #[test]
    fn plg_020_a_stream_that_stops_in_the_middle_is_refused() {
        let plain = noise(200_000);
        for (file, whole) in [("a.gz", gzip(&plain)), ("a.zst", zstd(&plain, true)), ("a.zst", zstd(&plain, false))] {
            let cuts = (4..40).chain((40..whole.len()).step_by(997)).chain(whole.len() - 9..whole.len());
            for cut in cuts {
                assert!(follow(file, &whole[..cut], 1000).is_err(), "{file} cut at {cut} of {}", whole.len());
            }
        }
    }

    #[test]
    fn what_is_not_compressed_tells_nothing() {
        for (file, bytes) in
            [("a", noise(10)), ("a.gz", Vec::new()), ("a.gz", b"plain text".to_vec()), ("a.zst", vec![0x28])]
        {
            assert_eq!(follow(file, &bytes, 3).unwrap(), Ending::Caller);
        }
        let skippable = [vec![0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3], zstd(b"x", true)].concat();
        assert_eq!(follow("a.zst", &[zstd(b"y", true), skippable].concat(), 2).unwrap(), Ending::Compression);
    }
}
