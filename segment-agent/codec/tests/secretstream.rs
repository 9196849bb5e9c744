//! Encryption against an independent implementation of libsodium's secretstream.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use codec::{Cipher, Codec, Compression, Error, SecretKey};
use dryoc::classic::crypto_secretstream_xchacha20poly1305::{
    State, crypto_secretstream_xchacha20poly1305_init_pull as init_pull,
    crypto_secretstream_xchacha20poly1305_init_push as init_push, crypto_secretstream_xchacha20poly1305_pull as pull,
    crypto_secretstream_xchacha20poly1305_push as push,
};
use support::{KEY_HEX, cipher, decode, encode, random};

const TAG_MESSAGE: u8 = 0;
const TAG_FINAL: u8 = 3;

fn key() -> [u8; 32] {
    let mut key = [0; 32];
    hex::decode_to_slice(KEY_HEX, &mut key).unwrap();
    key
}

/// Encrypts chunks with their tags.
fn seal(chunks: &[(&[u8], u8)]) -> Vec<u8> {
    let (mut state, mut header) = (State::default(), [0; 24]);
    init_push(&mut state, &mut header, &key());
    let mut out = header.to_vec();
    for (plain, tag) in chunks {
        let mut sealed = vec![0; plain.len() + 17];
        push(&mut state, &mut sealed, plain, None, *tag).unwrap();
        out.extend_from_slice(&sealed);
    }
    out
}

/// Decrypts a stream; returns the plain bytes and the size and tag of each chunk.
fn open(stored: &[u8]) -> (Vec<u8>, Vec<(usize, u8)>) {
    let mut state = State::default();
    let header: [u8; 24] = stored[..24].try_into().unwrap();
    init_pull(&mut state, &header, &key());
    let (mut content, mut chunks) = (Vec::new(), Vec::new());
    for sealed in stored[24..].chunks(8192 + 17) {
        let mut plain = vec![0; sealed.len() - 17];
        let mut tag = 0;
        pull(&mut state, &mut plain, &mut tag, sealed, None).unwrap();
        chunks.push((plain.len(), tag));
        content.extend_from_slice(&plain);
    }
    (content, chunks)
}

#[test]
fn what_is_written_has_the_chunks_of_walg() {
    for size in [0, 1, 8191, 8192, 8193, 16384, 500_000] {
        let content = random(size);
        let (plain, chunks) = open(&encode(Compression::None, &cipher(), &content, 30_000));
        assert!(plain == content, "{size}");
        let (last, full) = chunks.split_last().unwrap();
        assert_eq!(*last, (size % 8192, TAG_FINAL), "{size}");
        assert_eq!(full.len(), size / 8192);
        assert!(full.iter().all(|chunk| *chunk == (8192, TAG_MESSAGE)));
    }
}

#[test]
fn only_a_stream_with_a_short_final_chunk_is_read() {
    let content = random(20_000);
    let (a, b, c) = (&content[..8192], &content[8192..16384], &content[16384..]);
    let read = |chunks: &[(&[u8], u8)]| decode(Codec::None, &cipher(), &seal(chunks));

    assert!(read(&[(a, 0), (b, 0), (c, 3)]).unwrap() == content);
    assert!(read(&[(a, 0), (b, 0), (b"", 3)]).unwrap() == content[..16384]);
    assert_eq!(read(&[(b"", 3)]).unwrap(), b"");

    assert!(matches!(read(&[]), Err(Error::Truncated { .. })));
    assert!(matches!(read(&[(a, 0)]), Err(Error::Truncated { .. })));
    assert!(matches!(read(&[(a, 0), (b, 3)]), Err(Error::Corrupt { .. })), "a full final chunk");
    assert!(matches!(read(&[(a, 0), (c, 0)]), Err(Error::Corrupt { .. })), "a short chunk that is not final");
    assert!(matches!(read(&[(a, 3), (c, 3)]), Err(Error::Corrupt { .. })), "data behind the final chunk");
    assert!(read(&[(c, 3), (c, 3)]).is_err());
    assert!(matches!(read(&[(a, 1), (c, 3)]), Err(Error::Corrupt { .. })), "a tag WAL-G never writes");
}

#[test]
fn chunks_cannot_be_exchanged_left_out_or_repeated() {
    let content = random(40_000);
    let stored = encode(Compression::None, &cipher(), &content, usize::MAX);
    let chunk = |n: usize| 24 + n * 8209..24 + (n + 1) * 8209;
    let mut exchanged = stored.clone();
    exchanged.copy_within(chunk(1), chunk(2).start);
    exchanged[chunk(1)].copy_from_slice(&stored[chunk(2)]);
    let mut left_out = stored.clone();
    left_out.drain(chunk(1));
    let mut repeated = stored.clone();
    repeated.splice(chunk(1).start..chunk(1).start, stored[chunk(1)].to_vec());
    for bad in [exchanged, left_out, repeated] {
        assert!(matches!(decode(Codec::None, &cipher(), &bad), Err(Error::Corrupt { .. })));
    }
}

#[test]
fn a_wrong_key_is_named_as_such() {
    let stored = encode(Compression::Lz4, &cipher(), &random(30_000), usize::MAX);
    let other = Cipher::Libsodium(SecretKey::from_setting(&"ab".repeat(32), "hex").unwrap());
    assert!(matches!(decode(Codec::Lz4, &other, &stored), Err(Error::WrongKey)));
    let plain = encode(Compression::Lz4, &Cipher::None, &random(30_000), usize::MAX);
    assert!(matches!(decode(Codec::Lz4, &cipher(), &plain), Err(Error::WrongKey)));
}
