//! What several tests share: one-call encoding and decoding, content, golden objects.
#![allow(dead_code)]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use codec::{Cipher, Codec, Compression, Decoder, Encoder, Error, SecretKey, ZstdLevel};

pub const WRITABLE: [Compression; 5] = [
    Compression::Lz4,
    Compression::Zstd(ZstdLevel::Default),
    Compression::Brotli,
    Compression::Lzma,
    Compression::None,
];

/// The key of the golden tree that is encrypted.
pub const KEY_HEX: &str = "574c6ab40dd9c2ef5e9a1b1295ab4889794c68f6bfd256c3f424bc386742e907";

pub fn cipher() -> Cipher {
    Cipher::Libsodium(SecretKey::from_setting(KEY_HEX, "hex").unwrap())
}

pub fn encode(compression: Compression, cipher: &Cipher, content: &[u8], slice_bytes: usize) -> Vec<u8> {
    let mut encoder = Encoder::new(compression, cipher, Vec::new()).unwrap();
    for slice in content.chunks(slice_bytes.max(1)) {
        encoder.write_all(slice).unwrap();
    }
    encoder.finish().unwrap()
}

/// Reads through a buffer of `buffer_bytes` until the decoder says that the end was verified.
pub fn decode_with(codec: Codec, cipher: &Cipher, stored: impl Read, buffer_bytes: usize) -> Result<Vec<u8>, Error> {
    let mut decoder = Decoder::new(codec, cipher, stored)?;
    let mut buffer = vec![0; buffer_bytes];
    let mut content = Vec::new();
    loop {
        match decoder.read(&mut buffer)? {
            0 => {
                assert_eq!(decoder.read(&mut buffer)?, 0, "the end stays the end");
                return Ok(content);
            }
            read => content.extend_from_slice(&buffer[..read]),
        }
    }
}

pub fn decode(codec: Codec, cipher: &Cipher, stored: &[u8]) -> Result<Vec<u8>, Error> {
    decode_with(codec, cipher, stored, 64 * 1024)
}

/// A reader that gives one to seven bytes at a time.
pub struct Trickle<'a>(pub &'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let wanted = buf.len().min(self.0.len() % 7 + 1);
        self.0.read(&mut buf[..wanted])
    }
}

pub struct Noise(pub u64);

impl Noise {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Content somewhat like a table's pages: headers, repeating text, random numbers, zeros.
pub fn pages(bytes: usize) -> Vec<u8> {
    let mut noise = Noise(0x2545_F491_4F6C_DD1D);
    let mut content = Vec::with_capacity(bytes + 8192);
    while content.len() < bytes {
        let page_end = content.len() + 8192;
        while content.len() + 80 < page_end {
            let n = noise.next();
            content.extend_from_slice(format!("row {:>8} name-{:03} ", n % 100_000, n % 997).as_bytes());
            content.extend_from_slice(&n.to_le_bytes());
            if n.is_multiple_of(5) {
                content.extend_from_slice(&[0; 40]);
            }
        }
        content.resize(page_end, 0);
    }
    content.truncate(bytes);
    content
}

pub fn random(bytes: usize) -> Vec<u8> {
    let mut noise = Noise(88_172_645_463_325_252);
    (0..bytes).map(|_| (noise.next() >> 32) as u8).collect()
}

fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(path)
}

/// Calls `visit` with every object of a golden tree of PostgreSQL: key relative to the storage's root, bytes.
pub fn visit_postgres15(name: &str, mut visit: impl FnMut(&str, Vec<u8>)) {
    let file = std::fs::File::open(golden(&format!("postgres15/{name}.tar.gz"))).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    visit_tree(&mut archive, "storage/", &mut visit);
}

/// The same for the tree of Greenplum.
pub fn visit_greenplum6(mut visit: impl FnMut(&str, Vec<u8>)) {
    let file = std::fs::File::open(golden("greenplum6/store.tar.zst")).unwrap();
    let decoder = Decoder::new(Codec::Zstd, &Cipher::None, file).unwrap();
    visit_tree(&mut tar::Archive::new(decoder), "store/", &mut visit);
}

fn visit_tree(archive: &mut tar::Archive<impl Read>, root: &str, visit: &mut impl FnMut(&str, Vec<u8>)) {
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        if let Some((_, key)) = path.split_once(root)
            && entry.header().entry_type().is_file()
        {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            visit(key, bytes);
        }
    }
}
