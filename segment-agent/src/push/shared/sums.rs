//! The hashes of a shared file, taken in one pass.

use formats::ContentHash;
use xxhash_rust::xxh3::Xxh3;

use super::decision::Proof;

/// Hashes what it is fed with, from the beginning of a file on.
pub struct Sums {
    bytes: u64,
    whole: blake3::Hasher,
    to_eof: FirstBytes,
}

impl Sums {
    /// `eof`: logical end of the file, up to which WAL-G's checksum goes.
    pub fn new(eof: u64) -> Self {
        Self { bytes: 0, whole: blake3::Hasher::new(), to_eof: FirstBytes::new(eof) }
    }

    pub fn update(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.whole.update(piece);
        self.to_eof.update(piece);
    }

    /// Of all bytes so far.
    pub fn blake3(&self) -> ContentHash {
        ContentHash(*self.whole.finalize().as_bytes())
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// WAL-G's checksum, once the logical end was reached.
    pub fn checksum(&self) -> String {
        self.to_eof.checksum()
    }
}

/// XXH3-128 of a file's first bytes.
pub struct FirstBytes {
    left: u64,
    hasher: Xxh3,
}

impl FirstBytes {
    pub fn new(bytes: u64) -> Self {
        Self { left: bytes, hasher: Xxh3::new() }
    }

    pub fn update(&mut self, piece: &[u8]) {
        let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(piece.len());
        self.hasher.update(&piece[..count]);
        self.left -= count as u64;
    }

    /// 32 hexadecimal digits, the higher half first.
    pub fn checksum(&self) -> String {
        format!("{:032x}", self.hasher.digest128())
    }
}

/// Takes the hash that a [`Proof`] asks for.
pub enum Prover {
    Blake3,
    Xxh3(Box<FirstBytes>),
}

impl Prover {
    pub fn new(proof: &Proof, bytes: u64) -> Self {
        match proof {
            Proof::Blake3(_) => Self::Blake3,
            Proof::Xxh3(_) => Self::Xxh3(Box::new(FirstBytes::new(bytes))),
        }
    }

    pub fn update(&mut self, piece: &[u8]) {
        if let Self::Xxh3(hasher) = self {
            hasher.update(piece);
        }
    }

    /// Whether the bytes that `sums` and this were fed with are those of `proof`.
    pub fn holds(&self, proof: &Proof, sums: &Sums) -> bool {
        match (self, proof) {
            (Self::Blake3, Proof::Blake3(expected)) => sums.blake3() == *expected,
            (Self::Xxh3(hasher), Proof::Xxh3(expected)) => hasher.left == 0 && hasher.checksum() == *expected,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pass_gives_all_hashes() {
        let content: Vec<u8> = (0..1000u32).map(|n| (n % 251) as u8).collect();
        let mut sums = Sums::new(300);
        let proof = Proof::Xxh3(format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&content[..500])));
        let mut prover = Prover::new(&proof, 500);
        for piece in content[..500].chunks(7) {
            sums.update(piece);
            prover.update(piece);
        }
        assert!(prover.holds(&proof, &sums));
        assert!(!prover.holds(&Proof::Xxh3(String::new()), &sums));
        assert_eq!(sums.blake3().0, *blake3::hash(&content[..500]).as_bytes());
        assert!(Prover::Blake3.holds(&Proof::Blake3(sums.blake3()), &sums));
        sums.update(&content[500..]);
        assert_eq!(sums.checksum(), format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&content[..300])));
        assert_eq!((sums.blake3().0, sums.bytes()), (*blake3::hash(&content).as_bytes(), 1000));
        // The convention of the format's description.
        assert_eq!(Sums::new(0).checksum(), "99aa06d3014798d86001c324468d497f");
    }
}
