//! Every codec with and without encryption: what goes in comes out, in WAL-G's variants, and no damage passes.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use codec::{Cipher, Codec, Compression, Decoder, Error, ZstdLevel};
use std::io::{Read, Write};
use support::{Noise, Trickle, WRITABLE, cipher, decode, decode_with, encode, pages, random};

const MIB: usize = 1024 * 1024;

#[test]
fn everything_comes_back() {
    for compression in WRITABLE {
        for cipher in [Cipher::None, cipher()] {
            for size in [0, 1, 100, 8191, 8192, 8193, 16384, 300_000, MIB - 1, MIB, MIB + 1, 5 * MIB + 17] {
                for (content, slice) in [(pages(size), 70_001), (random(size), usize::MAX)] {
                    let stored = encode(compression, &cipher, &content, slice);
                    let read = decode(compression.codec(), &cipher, &stored).unwrap();
                    assert!(read == content, "{compression:?} {size}");
                }
            }
        }
    }
}

#[test]
fn any_slicing_of_reads_and_writes_works() {
    let content = pages(3 * MIB + 5);
    for compression in WRITABLE {
        for cipher in [Cipher::None, cipher()] {
            for slice in [512, 8192, MIB, 3 * MIB / 2] {
                let stored = encode(compression, &cipher, &content, slice);
                for buffer in [1000, 8 * MIB] {
                    let read = decode_with(compression.codec(), &cipher, &stored[..], buffer).unwrap();
                    assert!(read == content, "{compression:?} {slice} {buffer}");
                }
            }
        }
        let small = &content[..50_000];
        let stored = encode(compression, &cipher(), small, 3);
        let read = decode_with(compression.codec(), &cipher(), Trickle(&stored), 7).unwrap();
        assert!(read == small, "{compression:?}");
    }
}

#[test]
fn headers_and_trailers_are_those_of_walg() {
    let content = pages(200_000);
    let stored = |compression, content: &[u8]| encode(compression, &Cipher::None, content, 10_000);

    let lz4 = stored(Compression::Lz4, &content);
    assert_eq!(lz4[..7], [0x04, 0x22, 0x4D, 0x18, 0x64, 0x70, 0xB9]);
    assert_eq!(lz4[lz4.len() - 8..lz4.len() - 4], [0; 4]);
    let checksum = xxhash_rust::xxh32::xxh32(&content, 0).to_le_bytes();
    assert_eq!(lz4[lz4.len() - 4..], checksum);

    let lzma = stored(Compression::Lzma, &content);
    assert_eq!(lzma[..13], [0x5D, 0, 0, 0x80, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);

    for level in [ZstdLevel::Fastest, ZstdLevel::Default, ZstdLevel::Better, ZstdLevel::Best] {
        let zstd = stored(Compression::Zstd(level), &content);
        // No content size, no dictionary, content checksum.
        assert_eq!(zstd[..5], [0x28, 0xB5, 0x2F, 0xFD, 0x04]);
    }
    assert_eq!(stored(Compression::None, &content), content);
}

#[test]
fn empty_content_makes_the_frames_of_walg() {
    let stored = |compression| encode(compression, &Cipher::None, b"", 1);
    assert_eq!(hex::encode(stored(Compression::Lz4)), "04224d186470b900000000055dcc02");
    assert_eq!(hex::encode(stored(Compression::Zstd(ZstdLevel::Default))), "28b52ffd240001000099e9d851");
    assert_eq!(stored(Compression::Lzma).len(), 23);
    assert_eq!(stored(Compression::Brotli).len(), 1);
    assert_eq!(stored(Compression::None).len(), 0);
    let sealed = encode(Compression::None, &cipher(), b"", 1);
    assert_eq!(sealed.len(), 24 + 17);
}

/// Cuts `stored` everywhere: nothing may be taken for the whole.
fn refuse_every_cut(codec: Codec, cipher: &Cipher, stored: &[u8]) {
    for cut in 0..stored.len() {
        let error = decode(codec, cipher, &stored[..cut]).map(|content| content.len()).unwrap_err();
        assert!(error.is_damage(), "{codec:?} cut at {cut}: {error}");
    }
}

#[test]
fn truncation_is_always_found() {
    for compression in WRITABLE {
        for content in [pages(0), pages(6000), random(300)] {
            if compression != Compression::None {
                refuse_every_cut(
                    compression.codec(),
                    &Cipher::None,
                    &encode(compression, &Cipher::None, &content, 999),
                );
            }
            refuse_every_cut(compression.codec(), &cipher(), &encode(compression, &cipher(), &content, 999));
        }
    }
}

#[test]
fn truncation_between_blocks_and_chunks_is_found() {
    let content = random(2 * MIB + 1000);
    let stored = encode(Compression::Lz4, &Cipher::None, &content, usize::MAX);
    let block = 4 + MIB / 4;
    for cut in [7, 7 + block, 7 + 2 * block, stored.len() - 8, stored.len() - 4] {
        assert!(matches!(decode(Codec::Lz4, &Cipher::None, &stored[..cut]), Err(Error::Truncated { .. })), "{cut}");
    }
    let sealed = encode(Compression::None, &cipher(), &content, usize::MAX);
    for chunks in 0..200 {
        let cut = 24 + chunks * 8209;
        assert!(matches!(decode(Codec::None, &cipher(), &sealed[..cut]), Err(Error::Truncated { .. })), "{cut}");
    }
}

/// Flips bits: an error or the right content.
fn survive_flips(codec: Codec, cipher: &Cipher, stored: &[u8], content: &[u8], bits: impl Iterator<Item = usize>) {
    let mut damaged = stored.to_vec();
    for bit in bits {
        damaged[bit / 8] ^= 1 << (bit % 8);
        if let Ok(read) = decode(codec, cipher, &damaged) {
            assert!(read == content, "{codec:?}: bit {bit} of {} passed", stored.len() * 8);
        }
        damaged[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn no_flipped_bit_passes() {
    // The other formats have no checksum: without encryption a flipped bit can pass as other content.
    let checked = [Compression::Lz4, Compression::Zstd(ZstdLevel::Default)];
    for content in [pages(0), pages(2500), random(200)] {
        for compression in checked {
            let stored = encode(compression, &Cipher::None, &content, 999);
            survive_flips(compression.codec(), &Cipher::None, &stored, &content, 0..stored.len() * 8);
        }
        for compression in WRITABLE {
            let stored = encode(compression, &cipher(), &content, 999);
            survive_flips(compression.codec(), &cipher(), &stored, &content, 0..stored.len() * 8);
        }
    }
}

#[test]
fn no_flipped_bit_passes_in_large_streams() {
    let content = pages(3 * MIB);
    let mut noise = Noise(7);
    for (compression, cipher) in [
        (Compression::Lz4, Cipher::None),
        (Compression::Zstd(ZstdLevel::Default), Cipher::None),
        (Compression::Lzma, cipher()),
        (Compression::Brotli, cipher()),
        (Compression::None, cipher()),
    ] {
        let stored = encode(compression, &cipher, &content, usize::MAX);
        let bits = std::iter::repeat_with(|| noise.next() as usize % (stored.len() * 8)).take(40);
        survive_flips(compression.codec(), &cipher, &stored, &content, bits);
    }
}

#[test]
fn nothing_may_follow_the_end() {
    for compression in WRITABLE {
        for cipher in [Cipher::None, cipher()] {
            if matches!((compression, &cipher), (Compression::None, Cipher::None)) {
                continue;
            }
            for tail in [&b"\0"[..], &[0; 512], b"garbage that is no frame"] {
                let mut stored = encode(compression, &cipher, &pages(10_000), 1000);
                stored.extend_from_slice(tail);
                let error = decode(compression.codec(), &cipher, &stored).unwrap_err();
                assert!(error.is_damage(), "{compression:?}: {error}");
            }
        }
    }
}

#[test]
fn concatenated_frames_are_read_where_the_format_knows_them() {
    let (first, second) = (pages(100_000), random(50_000));
    for (compression, is_legal) in [
        (Compression::Lz4, true),
        (Compression::Zstd(ZstdLevel::Fastest), true),
        (Compression::Brotli, false),
        (Compression::Lzma, false),
    ] {
        let mut stored = encode(compression, &Cipher::None, &first, 4096);
        stored.extend(encode(compression, &Cipher::None, &second, 4096));
        match decode(compression.codec(), &Cipher::None, &stored) {
            Ok(read) => assert!(is_legal && read == [&first[..], &second].concat(), "{compression:?}"),
            Err(error) => assert!(!is_legal, "{compression:?}: {error}"),
        }
    }
}

#[test]
fn gzip_members_are_read_and_checked() {
    let content = pages(100_000);
    let compress = |content: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    };
    let mut stored = compress(&content);
    assert!(decode(Codec::Gzip, &Cipher::None, &stored).unwrap() == content);
    stored.extend(compress(b"second member"));
    let both = [&content[..], b"second member"].concat();
    assert!(decode(Codec::Gzip, &Cipher::None, &stored).unwrap() == both);
    stored.push(0);
    assert!(decode(Codec::Gzip, &Cipher::None, &stored).is_err());

    let small = compress(&content[..3000]);
    refuse_every_cut(Codec::Gzip, &Cipher::None, &small);
    survive_flips(Codec::Gzip, &Cipher::None, &small, &content[..3000], 0..small.len() * 8);
}

#[test]
fn errors_of_the_source_stay_what_they_are() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::new(std::io::ErrorKind::ConnectionReset, "gone"))
        }
    }
    for codec in codec::READ_ORDER {
        for cipher in [Cipher::None, cipher()] {
            let mut decoder = Decoder::new(codec, &cipher, Broken).unwrap();
            let error = Error::from(decoder.read(&mut [0; 10]).unwrap_err());
            assert!(matches!(&error, Error::Io(e) if e.kind() == std::io::ErrorKind::ConnectionReset), "{codec:?}");
            assert!(!error.is_damage());
            assert!(decoder.read(&mut [0; 10]).is_err(), "a failed decoder stays failed");
        }
    }
}

#[test]
fn a_failed_encoder_cannot_finish() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(buf.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    for compression in WRITABLE {
        for cipher in [Cipher::None, cipher()] {
            let mut encoder = codec::Encoder::new(compression, &cipher, Full(1)).unwrap();
            let content = random(MIB);
            assert!((0..40).any(|_| encoder.write_all(&content).is_err()), "{compression:?}");
            assert!(encoder.write_all(b"more").is_err());
            assert!(encoder.finish().is_err());
        }
    }
}
