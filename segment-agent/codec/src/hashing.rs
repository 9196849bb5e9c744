//! BLAKE3 hash and byte count of everything that passes by.

use std::io::{Read, Result, Write};

/// What passed through a `HashingWriter` or `HashingReader`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentSum {
    /// Number of bytes.
    pub bytes: u64,
    /// Their BLAKE3 hash; `to_hex()` is the text of the manifest.
    pub blake3: blake3::Hash,
}

#[derive(Default)]
struct Running {
    bytes: u64,
    hasher: blake3::Hasher,
}

impl Running {
    fn add(&mut self, content: &[u8]) {
        self.hasher.update(content);
        self.bytes += content.len() as u64;
    }

    fn sum(&self) -> ContentSum {
        ContentSum { bytes: self.bytes, blake3: self.hasher.finalize() }
    }
}

/// Counts and hashes what the inner writer accepted.
pub struct HashingWriter<W> {
    inner: W,
    running: Running,
}

impl<W: Write> HashingWriter<W> {
    pub fn new(inner: W) -> Self {
        HashingWriter { inner, running: Running::default() }
    }

    /// Bytes accepted so far.
    pub fn bytes(&self) -> u64 {
        self.running.bytes
    }

    /// Count and hash so far.
    pub fn sum(&self) -> ContentSum {
        self.running.sum()
    }

    /// The inner writer, with the final count and hash.
    pub fn finish(self) -> (W, ContentSum) {
        let sum = self.running.sum();
        (self.inner, sum)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        let written = self.inner.write(buf)?;
        self.running.add(&buf[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> Result<()> {
        self.inner.flush()
    }
}

/// Counts and hashes what the inner reader delivered.
pub struct HashingReader<R> {
    inner: R,
    running: Running,
}

impl<R: Read> HashingReader<R> {
    pub fn new(inner: R) -> Self {
        HashingReader { inner, running: Running::default() }
    }

    /// Bytes delivered so far.
    pub fn bytes(&self) -> u64 {
        self.running.bytes
    }

    /// Count and hash so far.
    pub fn sum(&self) -> ContentSum {
        self.running.sum()
    }

    /// The inner reader, with the final count and hash.
    pub fn finish(self) -> (R, ContentSum) {
        let sum = self.running.sum();
        (self.inner, sum)
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let read = self.inner.read(buf)?;
        self.running.add(&buf[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_agree_with_blake3() {
        let content = vec![7u8; 100_000];
        let mut writer = HashingWriter::new(Vec::new());
        writer.write_all(&content).unwrap();
        let (stored, written) = writer.finish();
        let mut reader = HashingReader::new(&stored[..]);
        std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
        assert_eq!(reader.finish().1, written);
        assert_eq!(written, ContentSum { bytes: 100_000, blake3: blake3::hash(&content) });
    }
}
