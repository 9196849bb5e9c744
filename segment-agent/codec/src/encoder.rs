//! Plain content to stored bytes: compress, then encrypt.

use std::io::{self, Write};

use crate::engine::{BrotliCompressor, LzmaCompressor, StreamWriter, ZstdCompressor};
use crate::lz4::FrameWriter;
use crate::secretstream::SecretWriter;
use crate::{Cipher, Compression, Error};

/// Compresses and encrypts what is written to it, in exactly the variants that WAL-G writes.
///
/// Dropping an encoder without `finish` leaves a broken stream behind. Large slices (256 KiB and more) are the fastest:
/// they are not copied before they are compressed. `flush` does not end blocks, so it makes nothing readable early.
pub struct Encoder<W: Write> {
    stage: Stage<W>,
    has_failed: bool,
}

enum Stage<W: Write> {
    None(Sealer<W>),
    Lz4(Box<FrameWriter<Sealer<W>>>),
    Zstd(StreamWriter<ZstdCompressor, Sealer<W>>),
    Brotli(StreamWriter<BrotliCompressor, Sealer<W>>),
    Lzma(StreamWriter<LzmaCompressor, Sealer<W>>),
}

/// The encryption under the compression.
enum Sealer<W: Write> {
    None(W),
    Libsodium(Box<SecretWriter<W>>),
}

impl<W: Write> Encoder<W> {
    /// Sets everything up; nothing is written before the first content or `finish`.
    pub fn new(compression: Compression, cipher: &Cipher, inner: W) -> Result<Encoder<W>, Error> {
        let sealer = match cipher {
            Cipher::None => Sealer::None(inner),
            Cipher::Libsodium(key) => Sealer::Libsodium(Box::new(SecretWriter::new(inner, key)?)),
        };
        let stage = match compression {
            Compression::None => Stage::None(sealer),
            Compression::Lz4 => Stage::Lz4(Box::new(FrameWriter::new(sealer))),
            Compression::Zstd(level) => Stage::Zstd(StreamWriter::new(ZstdCompressor::new(level)?, sealer)),
            Compression::Brotli => Stage::Brotli(StreamWriter::new(BrotliCompressor::new()?, sealer)),
            Compression::Lzma => Stage::Lzma(StreamWriter::new(LzmaCompressor::new()?, sealer)),
        };
        Ok(Encoder { stage, has_failed: false })
    }

    /// Writes all that is still held back, the end marks of codec and cipher, and flushes the inner writer.
    pub fn finish(self) -> Result<W, Error> {
        if self.has_failed {
            return Err(misuse());
        }
        let sealer = match self.stage {
            Stage::None(sealer) => sealer,
            Stage::Lz4(writer) => writer.finish()?,
            Stage::Zstd(writer) => writer.finish()?,
            Stage::Brotli(writer) => writer.finish()?,
            Stage::Lzma(writer) => writer.finish()?,
        };
        let mut inner = match sealer {
            Sealer::None(inner) => inner,
            Sealer::Libsodium(writer) => writer.finish()?,
        };
        inner.flush()?;
        Ok(inner)
    }
}

impl<W: Write> Write for Encoder<W> {
    /// After an error nothing more can be written: the stream has a hole.
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.has_failed {
            return Err(misuse().into());
        }
        let result = match &mut self.stage {
            Stage::None(sealer) => sealer.write(buf),
            Stage::Lz4(writer) => writer.write(buf),
            Stage::Zstd(writer) => writer.write(buf),
            Stage::Brotli(writer) => writer.write(buf),
            Stage::Lzma(writer) => writer.write(buf),
        };
        self.has_failed = result.is_err();
        result
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.stage {
            Stage::None(sealer) => sealer.flush(),
            Stage::Lz4(writer) => writer.flush(),
            Stage::Zstd(writer) => writer.flush(),
            Stage::Brotli(writer) => writer.flush(),
            Stage::Lzma(writer) => writer.flush(),
        }
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Sealer::None(inner) => inner.write(buf),
            Sealer::Libsodium(writer) => writer.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sealer::None(inner) => inner.flush(),
            Sealer::Libsodium(writer) => writer.flush(),
        }
    }
}

fn misuse() -> Error {
    Error::Misuse { what: "the encoded stream", why: "an earlier write failed" }
}
