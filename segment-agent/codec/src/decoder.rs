//! Stored bytes to plain content: decrypt, then decompress.

use std::io::{self, BufReader, Read};

use crate::engine::{BrotliDecompressor, GzipDecompressor, LzmaDecompressor, StreamReader, ZstdDecompressor};
use crate::lz4::FrameReader;
use crate::lzop::LzopReader;
use crate::secretstream::SecretReader;
use crate::{Cipher, Codec, Error};

/// Bytes that are read from the source at once.
const INPUT_BYTES: usize = 128 * 1024;

/// Decrypts and decompresses what it reads, and reports the end only of a stream that is proven to be complete.
pub struct Decoder<R: Read> {
    stage: Stage<R>,
    has_failed: bool,
}

type Source<R> = BufReader<Opener<R>>;

enum Stage<R: Read> {
    None(Opener<R>),
    Lz4(FrameReader<Source<R>>),
    Zstd(StreamReader<ZstdDecompressor, Source<R>>),
    Brotli(StreamReader<BrotliDecompressor, Source<R>>),
    Lzma(StreamReader<LzmaDecompressor, Source<R>>),
    Gzip(StreamReader<GzipDecompressor, Source<R>>),
    Lzo(LzopReader<Source<R>>),
}

/// The decryption under the decompression.
enum Opener<R: Read> {
    None(R),
    Libsodium(Box<SecretReader<R>>),
}

impl<R: Read> Decoder<R> {
    /// Sets everything up; nothing is read yet.
    pub fn new(codec: Codec, cipher: &Cipher, inner: R) -> Result<Decoder<R>, Error> {
        let opener = match cipher {
            Cipher::None => Opener::None(inner),
            Cipher::Libsodium(key) => Opener::Libsodium(Box::new(SecretReader::new(inner, key)?)),
        };
        let source = |opener| BufReader::with_capacity(INPUT_BYTES, opener);
        let stage = match codec {
            Codec::None => Stage::None(opener),
            Codec::Lz4 => Stage::Lz4(FrameReader::new(source(opener))),
            Codec::Zstd => Stage::Zstd(StreamReader::new(ZstdDecompressor::new()?, source(opener))),
            Codec::Brotli => Stage::Brotli(StreamReader::new(BrotliDecompressor::new(), source(opener))),
            Codec::Lzma => Stage::Lzma(StreamReader::new(LzmaDecompressor::new()?, source(opener))),
            Codec::Gzip => Stage::Gzip(StreamReader::new(GzipDecompressor::new(), source(opener))),
            Codec::Lzo => Stage::Lzo(LzopReader::new(source(opener))),
        };
        Ok(Decoder { stage, has_failed: false })
    }
}

impl<R: Read> Read for Decoder<R> {
    /// `Ok(0)` for a non-empty `buf` means: the end of the stream was seen, every checksum and the end mark of the
    /// cipher were right, and the inner reader has nothing left. `Error::from` tells what an error means.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.has_failed {
            return Err(Error::Misuse { what: "the stored stream", why: "an earlier read failed" }.into());
        }
        let result = match &mut self.stage {
            Stage::None(opener) => opener.read(buf),
            Stage::Lz4(reader) => reader.read(buf),
            Stage::Zstd(reader) => reader.read(buf),
            Stage::Brotli(reader) => reader.read(buf),
            Stage::Lzma(reader) => reader.read(buf),
            Stage::Gzip(reader) => reader.read(buf),
            Stage::Lzo(reader) => reader.read(buf),
        };
        self.has_failed = result.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted);
        result
    }
}

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Opener::None(inner) => inner.read(buf),
            Opener::Libsodium(reader) => reader.read(buf),
        }
    }
}
