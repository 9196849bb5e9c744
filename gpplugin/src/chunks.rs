//! Sums over the bytes of a file, in all and piece by piece.

use segment_agent::error::{Error, Result};

/// Bytes of a piece. A restore holds one of them; a record has 32 digits for each.
const CHUNK_BYTES: usize = 4 << 20;

/// Bytes of a piece's hash that are kept.
pub const SUM_BYTES: usize = 16;

/// What a file's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sums {
    pub size: u64,
    pub blake3: String,
    pub chunk_size: u64,
    pub chunks: Vec<u8>,
}

/// Adds up bytes on their way.
pub struct Summing {
    size: u64,
    whole: blake3::Hasher,
    chunk: blake3::Hasher,
    in_chunk: usize,
    chunks: Vec<u8>,
}

impl Summing {
    pub fn new() -> Self {
        let hasher = blake3::Hasher::new;
        Self { size: 0, whole: hasher(), chunk: hasher(), in_chunk: 0, chunks: Vec::new() }
    }

    pub fn update(&mut self, mut bytes: &[u8]) {
        self.whole.update(bytes);
        self.size += bytes.len() as u64;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK_BYTES - self.in_chunk));
            self.chunk.update(now);
            self.in_chunk += now.len();
            if self.in_chunk == CHUNK_BYTES {
                self.end_chunk();
            }
            bytes = later;
        }
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn finish(mut self) -> Sums {
        if self.in_chunk > 0 {
            self.end_chunk();
        }
        let blake3 = self.whole.finalize().to_hex().to_string();
        Sums { size: self.size, blake3, chunk_size: CHUNK_BYTES as u64, chunks: self.chunks }
    }

    fn end_chunk(&mut self) {
        self.chunks.extend_from_slice(&self.chunk.finalize().as_bytes()[..SUM_BYTES]);
        self.chunk.reset();
        self.in_chunk = 0;
    }
}

impl Sums {
    /// Whether `bytes` are piece number `index`.
    pub fn check_chunk(&self, index: u64, bytes: &[u8]) -> Result<(), &'static str> {
        let start = usize::try_from(index).ok().and_then(|index| index.checked_mul(SUM_BYTES));
        let sum = start.and_then(|start| self.chunks.get(start..start + SUM_BYTES));
        match sum {
            None => Err("it is longer than its integrity record says"),
            Some(sum) if blake3::hash(bytes).as_bytes()[..SUM_BYTES] == *sum => Ok(()),
            Some(_) => Err("its bytes are not those that were stored"),
        }
    }

    /// Bytes of a piece, for a buffer.
    pub fn chunk_bytes(&self) -> Result<usize> {
        match usize::try_from(self.chunk_size) {
            Ok(bytes) if bytes <= 64 << 20 => Ok(bytes),
            _ => Err(Error::refused("an integrity record has pieces of an impossible size", "use another backup")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_do_not_depend_on_how_bytes_come() {
        let bytes: Vec<u8> = (0..2 * CHUNK_BYTES + 77).map(|n| (n % 253) as u8).collect();
        let sums = |step: usize| {
            let mut summing = Summing::new();
            bytes.chunks(step).for_each(|part| summing.update(part));
            summing.finish()
        };
        let one = sums(bytes.len());
        assert_eq!(one, sums(1000));
        assert_eq!((one.size, one.chunks.len()), (bytes.len() as u64, 3 * SUM_BYTES));
        for (index, part) in bytes.chunks(CHUNK_BYTES).enumerate() {
            assert_eq!(one.check_chunk(index as u64, part), Ok(()));
            assert!(one.check_chunk(index as u64, &part[1..]).is_err());
        }
        assert!(one.check_chunk(3, &[]).is_err() && one.check_chunk(u64::MAX, &[]).is_err());
        assert!(Summing::new().finish().chunks.is_empty());
    }
}
