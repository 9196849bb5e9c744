//! libsodium secretstream (XChaCha20-Poly1305) as WAL-G stores it.
//!
//! A header of 24 bytes, then chunks of 8192 plain bytes, each 17 bytes longer when encrypted, tagged MESSAGE; the last
//! chunk is shorter (possibly empty) and tagged FINAL. Nothing but a stream that ends with such a chunk is accepted.
//! The only place that knows the sodium library.

use std::io::{self, Read, Write};

use sodiumoxide::crypto::secretstream::{ABYTES, HEADERBYTES, Header, Key, Pull, Push, Stream, Tag};

use crate::{Error, SecretKey};

const WHAT: &str = "the encrypted stream";
/// Plain bytes in every chunk but the last.
const CHUNK_BYTES: usize = 8192;
const SEALED_BYTES: usize = CHUNK_BYTES + ABYTES;
/// Chunks that are read or written at once.
const BATCH_CHUNKS: usize = 16;

/// Length of the stream of so many plain bytes.
pub(crate) fn sealed_bytes(plain_bytes: u64) -> u64 {
    let chunks = plain_bytes / CHUNK_BYTES as u64 + 1;
    plain_bytes.saturating_add(chunks.saturating_mul(ABYTES as u64)).saturating_add(HEADERBYTES as u64)
}

fn stream_key(key: &SecretKey) -> Result<Key, Error> {
    sodiumoxide::init().map_err(|()| Error::setup("libsodium", "its random generator is not available"))?;
    Key::from_slice(key.bytes()).ok_or_else(|| Error::setup("libsodium", "unexpected key size"))
}

/// Encrypts what is written to it.
pub(crate) struct SecretWriter<W: Write> {
    inner: W,
    stream: Stream<Push>,
    /// Plain bytes that do not fill a chunk yet.
    gathered: Vec<u8>,
    sealed: Vec<u8>,
    /// Encrypted bytes on their way to the inner writer.
    output: Vec<u8>,
}

impl<W: Write> SecretWriter<W> {
    pub(crate) fn new(inner: W, key: &SecretKey) -> Result<SecretWriter<W>, Error> {
        let (stream, header) = Stream::init_push(&stream_key(key)?)
            .map_err(|()| Error::setup("libsodium", "a stream could not be started"))?;
        let mut output = Vec::with_capacity(HEADERBYTES + BATCH_CHUNKS * SEALED_BYTES);
        output.extend_from_slice(header.as_ref());
        Ok(SecretWriter { inner, stream, gathered: Vec::with_capacity(CHUNK_BYTES), sealed: Vec::new(), output })
    }

    /// Writes the FINAL chunk.
    pub(crate) fn finish(mut self) -> Result<W, Error> {
        let rest = std::mem::take(&mut self.gathered);
        self.seal(&rest, Tag::Final)?;
        self.inner.write_all(&self.output)?;
        Ok(self.inner)
    }

    fn seal(&mut self, plain: &[u8], tag: Tag) -> io::Result<()> {
        self.stream
            .push_to_vec(plain, None, tag, &mut self.sealed)
            .map_err(|()| Error::setup("libsodium", "a chunk could not be encrypted"))?;
        self.output.extend_from_slice(&self.sealed);
        if self.output.len() + SEALED_BYTES > BATCH_CHUNKS * SEALED_BYTES {
            self.inner.write_all(&self.output)?;
            self.output.clear();
        }
        Ok(())
    }
}

impl<W: Write> Write for SecretWriter<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.gathered.is_empty() && buf.len() >= CHUNK_BYTES {
            let chunks = buf.chunks_exact(CHUNK_BYTES);
            let taken = buf.len() - chunks.remainder().len();
            for chunk in chunks {
                self.seal(chunk, Tag::Message)?;
            }
            return Ok(taken);
        }
        let taken = buf.len().min(CHUNK_BYTES - self.gathered.len());
        self.gathered.extend_from_slice(&buf[..taken]);
        if self.gathered.len() == CHUNK_BYTES {
            let mut chunk = std::mem::take(&mut self.gathered);
            self.seal(&chunk, Tag::Message)?;
            chunk.clear();
            self.gathered = chunk;
        }
        Ok(taken)
    }

    /// Chunks have a fixed size, so there is nothing that could be sent ahead.
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Decrypts and authenticates what it reads; the end is reported only after the FINAL chunk and the inner reader's end.
pub(crate) struct SecretReader<R: Read> {
    inner: R,
    key: Key,
    stream: Option<Stream<Pull>>,
    /// Encrypted bytes, and the part of them that was not decrypted yet.
    input: Vec<u8>,
    pending: std::ops::Range<usize>,
    plain: Vec<u8>,
    taken: usize,
    has_chunk: bool,
}

impl<R: Read> SecretReader<R> {
    pub(crate) fn new(inner: R, key: &SecretKey) -> Result<SecretReader<R>, Error> {
        Ok(SecretReader {
            inner,
            key: stream_key(key)?,
            stream: None,
            input: Vec::new(),
            pending: 0..0,
            plain: Vec::new(),
            taken: 0,
            has_chunk: false,
        })
    }

    /// Decrypts the next chunk into `plain`; false at the verified end.
    fn open_chunk(&mut self) -> Result<bool, Error> {
        if self.stream.is_none() {
            self.start()?;
        }
        let Some(stream) = &mut self.stream else { return Ok(false) };
        if stream.is_finalized() {
            return Ok(false);
        }
        let available = fill(&mut self.inner, &mut self.input, &mut self.pending, SEALED_BYTES)?;
        let length = available.min(SEALED_BYTES);
        if length < ABYTES {
            return Err(Error::Truncated { what: WHAT });
        }
        let sealed = &self.input[self.pending.start..self.pending.start + length];
        let tag = stream.pull_to_vec(sealed, None, &mut self.plain).map_err(|()| {
            if self.has_chunk { Error::corrupt(WHAT, "a chunk does not authenticate") } else { Error::WrongKey }
        })?;
        self.has_chunk = true;
        self.pending.start += length;
        self.taken = 0;
        match (tag, length) {
            (Tag::Message, SEALED_BYTES) => Ok(true),
            (Tag::Final, SEALED_BYTES) => Err(Error::corrupt(WHAT, "its final chunk has full size")),
            // A short chunk was cut off by the end of the inner reader, so nothing can follow it.
            (Tag::Final, _) => Ok(true),
            _ => Err(Error::corrupt(WHAT, "a chunk has an unexpected tag")),
        }
    }

    fn start(&mut self) -> Result<(), Error> {
        if fill(&mut self.inner, &mut self.input, &mut self.pending, HEADERBYTES)? < HEADERBYTES {
            return Err(Error::Truncated { what: WHAT });
        }
        let header = Header::from_slice(&self.input[self.pending.start..self.pending.start + HEADERBYTES]);
        self.pending.start += HEADERBYTES;
        let stream = header.and_then(|header| Stream::init_pull(&header, &self.key).ok());
        self.stream = Some(stream.ok_or(Error::WrongKey)?);
        Ok(())
    }
}

/// Reads until `wanted` bytes are pending or the reader ends; returns how many are.
fn fill(
    reader: &mut impl Read,
    input: &mut Vec<u8>,
    pending: &mut std::ops::Range<usize>,
    wanted: usize,
) -> Result<usize, Error> {
    if pending.len() >= wanted {
        return Ok(pending.len());
    }
    input.resize(BATCH_CHUNKS * SEALED_BYTES, 0);
    input.copy_within(pending.clone(), 0);
    *pending = 0..pending.len();
    while pending.len() < wanted {
        match reader.read(&mut input[pending.end..]) {
            Ok(0) => break,
            Ok(read) => pending.end += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(pending.len())
}

impl<R: Read> Read for SecretReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let mut filled = 0;
        while filled < buf.len() {
            if self.taken == self.plain.len() {
                // What was decrypted is handed on before an error behind it is met.
                let needs_input = self.pending.len() < SEALED_BYTES && filled > 0;
                if needs_input || !self.open_chunk()? {
                    break;
                }
                continue;
            }
            let step = (buf.len() - filled).min(self.plain.len() - self.taken);
            buf[filled..filled + step].copy_from_slice(&self.plain[self.taken..self.taken + step]);
            self.taken += step;
            filled += step;
        }
        Ok(filled)
    }
}
