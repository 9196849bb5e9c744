//! lzop files, built here, since nothing writes them any more.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use codec::{Cipher, Codec, Error};
use support::{decode, pages, random};

/// As `lzop` writes by default: Adler-32 of plain and compressed bytes.
const FLAGS_DEFAULT: u32 = 0x0300_0003;
const FLAGS_CRC: u32 = 0x0300_1300;

fn adler32(bytes: &[u8]) -> u32 {
    let (mut low, mut high) = (1u32, 0u32);
    for &byte in bytes {
        low = (low + u32::from(byte)) % 65521;
        high = (high + low) % 65521;
    }
    high << 16 | low
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn lzop(content: &[u8], flags: u32) -> Vec<u8> {
    let mut header = vec![0x10, 0x40, 0x20, 0xA0, 0x09, 0x40, 1, 5];
    header.extend_from_slice(&flags.to_be_bytes());
    header.extend_from_slice(&[0, 0, 0x81, 0xA4, 1, 2, 3, 4, 0, 0, 0, 0, 4]);
    header.extend_from_slice(b"name");
    let sum = if flags & 0x1000 != 0 { crc32(&header) } else { adler32(&header) };
    let mut out = vec![0x89, b'L', b'Z', b'O', 0, 0x0D, 0x0A, 0x1A, 0x0A];
    out.extend_from_slice(&header);
    out.extend_from_slice(&sum.to_be_bytes());
    for block in content.chunks(256 * 1024) {
        let compressed = lzokay::compress::compress(block).unwrap();
        let stored = if compressed.len() < block.len() { &compressed[..] } else { block };
        out.extend_from_slice(&(block.len() as u32).to_be_bytes());
        out.extend_from_slice(&(stored.len() as u32).to_be_bytes());
        let mut sums = |adler: u32, crc: u32, bytes: &[u8]| {
            if flags & adler != 0 {
                out.extend_from_slice(&adler32(bytes).to_be_bytes());
            }
            if flags & crc != 0 {
                out.extend_from_slice(&crc32(bytes).to_be_bytes());
            }
        };
        sums(0x1, 0x100, block);
        if stored.len() < block.len() {
            sums(0x2, 0x200, stored);
        }
        out.extend_from_slice(stored);
    }
    out.extend_from_slice(&[0; 4]);
    out
}

#[test]
fn lzop_files_are_read() {
    let content = [pages(600_000), random(300_000), pages(1000)].concat();
    for flags in [FLAGS_DEFAULT, FLAGS_CRC, 0x0300_0000] {
        let stored = lzop(&content, flags);
        assert!(decode(Codec::Lzo, &Cipher::None, &stored).unwrap() == content, "{flags:#x}");
        let twice = [&stored[..], &stored].concat();
        assert!(decode(Codec::Lzo, &Cipher::None, &twice).unwrap() == [&content[..], &content].concat());
    }
    assert_eq!(decode(Codec::Lzo, &Cipher::None, &lzop(b"", FLAGS_DEFAULT)).unwrap(), b"");
}

#[test]
fn damage_is_found() {
    let content = pages(3000);
    for flags in [FLAGS_DEFAULT, FLAGS_CRC] {
        let stored = lzop(&content, flags);
        for cut in 0..stored.len() {
            assert!(decode(Codec::Lzo, &Cipher::None, &stored[..cut]).is_err(), "cut at {cut}");
        }
        for bit in 0..stored.len() * 8 {
            let mut bad = stored.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let read = decode(Codec::Lzo, &Cipher::None, &bad);
            assert!(read.map_or(true, |read| read == content), "bit {bit}");
        }
        let tail = [&stored[..], b"\0"].concat();
        assert!(matches!(
            decode(Codec::Lzo, &Cipher::None, &tail),
            Err(Error::Truncated { .. } | Error::Corrupt { .. })
        ));
    }
}
