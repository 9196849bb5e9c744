//! Legal LZ4 frames that other programs write, built here byte by byte.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use codec::{Cipher, Codec, Error};
use lz4_flex::block::{compress_into, compress_into_with_dict, get_maximum_output_size};
use support::{decode_with, pages, random};
use xxhash_rust::xxh32::xxh32;

const WINDOW: usize = 64 * 1024;

#[derive(Clone, Copy, Debug)]
struct Options {
    size_id: u8,
    linked: bool,
    block_checksums: bool,
    content_checksum: bool,
    content_size: bool,
}

fn block_bytes(size_id: u8) -> usize {
    1 << (8 + 2 * size_id)
}

fn put_block(out: &mut Vec<u8>, block: &[u8], dictionary: &[u8], block_checksums: bool) {
    let mut compressed = vec![0; get_maximum_output_size(block.len())];
    let length = match dictionary {
        [] => compress_into(block, &mut compressed).unwrap(),
        _ => compress_into_with_dict(block, &mut compressed, dictionary).unwrap(),
    };
    let (field, body) = match length < block.len() {
        true => (length as u32, &compressed[..length]),
        false => (block.len() as u32 | 0x8000_0000, block),
    };
    out.extend_from_slice(&field.to_le_bytes());
    out.extend_from_slice(body);
    if block_checksums {
        out.extend_from_slice(&xxh32(body, 0).to_le_bytes());
    }
}

fn frame(content: &[u8], options: Options) -> Vec<u8> {
    let flags = 0x40
        | u8::from(!options.linked) << 5
        | u8::from(options.block_checksums) << 4
        | u8::from(options.content_size) << 3
        | u8::from(options.content_checksum) << 2;
    let mut descriptor = vec![flags, options.size_id << 4];
    if options.content_size {
        descriptor.extend_from_slice(&(content.len() as u64).to_le_bytes());
    }
    let mut out = 0x184D_2204u32.to_le_bytes().to_vec();
    out.extend_from_slice(&descriptor);
    out.push((xxh32(&descriptor, 0) >> 8) as u8);
    // Blocks of varying size, as flushing writers make them.
    let max = block_bytes(options.size_id);
    let mut start = 0;
    for size in [max, 1000, max, 70_000, 10, max].into_iter().cycle() {
        let end = (start + size.min(max)).min(content.len());
        if start == end {
            break;
        }
        let dictionary = if options.linked { &content[start.saturating_sub(WINDOW)..start] } else { &[][..] };
        put_block(&mut out, &content[start..end], dictionary, options.block_checksums);
        start = end;
    }
    out.extend_from_slice(&[0; 4]);
    if options.content_checksum {
        out.extend_from_slice(&xxh32(content, 0).to_le_bytes());
    }
    out
}

fn all_options() -> impl Iterator<Item = Options> {
    (4..=7u8).flat_map(|size_id| {
        (0..16u8).map(move |bits| Options {
            size_id,
            linked: bits & 1 != 0,
            block_checksums: bits & 2 != 0,
            content_checksum: bits & 4 != 0,
            content_size: bits & 8 != 0,
        })
    })
}

fn decode(stored: &[u8]) -> Result<Vec<u8>, Error> {
    decode_with(Codec::Lz4, &Cipher::None, stored, 10_000)
}

fn skippable(content: &[u8], nibble: u32) -> Vec<u8> {
    let mut out = (0x184D_2A50 | nibble).to_le_bytes().to_vec();
    out.extend_from_slice(&(content.len() as u32).to_le_bytes());
    out.extend_from_slice(content);
    out
}

fn legacy(content: &[u8]) -> Vec<u8> {
    let mut out = 0x184C_2102u32.to_le_bytes().to_vec();
    for block in content.chunks(8 * 1024 * 1024) {
        let mut compressed = vec![0; get_maximum_output_size(block.len())];
        let length = compress_into(block, &mut compressed).unwrap();
        out.extend_from_slice(&(length as u32).to_le_bytes());
        out.extend_from_slice(&compressed[..length]);
    }
    out
}

#[test]
fn every_kind_of_frame_is_read() {
    let content = [pages(1_500_000), random(300_000), pages(700_000)].concat();
    for options in all_options() {
        let stored = frame(&content, options);
        assert!(decode(&stored).unwrap() == content, "{options:?}");
        let direct = decode_with(Codec::Lz4, &Cipher::None, &stored[..], 5 << 20).unwrap();
        assert!(direct == content, "{options:?} into a large buffer");
    }
}

#[test]
fn frames_of_different_kinds_follow_each_other() {
    let content = pages(300_000);
    let mut stored = skippable(b"about this file", 3);
    let mut expected = Vec::new();
    for options in all_options() {
        stored.extend(frame(&content[..100_000 + expected.len() % 1000], options));
        expected.extend_from_slice(&content[..100_000 + expected.len() % 1000]);
        stored.extend(skippable(&random(200_000), 15));
    }
    stored.extend(legacy(&content));
    expected.extend_from_slice(&content);
    stored.extend(frame(&content, all_options().next().unwrap()));
    expected.extend_from_slice(&content);
    assert!(decode(&stored).unwrap() == expected);
}

#[test]
fn legacy_frames_are_read() {
    let content = pages(9 * 1024 * 1024);
    assert!(decode(&legacy(&content)).unwrap() == content);
    let stored = legacy(&content[..5000]);
    for cut in (0..stored.len()).filter(|cut| *cut != 4) {
        assert!(decode(&stored[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn cut_frames_are_refused() {
    let content = pages(4000);
    for options in all_options() {
        let stored = frame(&content, options);
        for cut in 0..stored.len() {
            assert!(decode(&stored[..cut]).is_err(), "{options:?} cut at {cut}");
        }
    }
    assert!(decode(&skippable(b"nothing else", 0)).is_err());
}

#[test]
fn contradictions_are_refused() {
    let content = pages(4000);
    let options =
        Options { size_id: 4, linked: false, block_checksums: true, content_checksum: false, content_size: true };
    let good = frame(&content, options);
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&bad).map_or(true, |read| read == content), "bit {bit}");
    }
    let reseal = |mut bad: Vec<u8>| {
        bad[14] = (xxh32(&bad[4..14], 0) >> 8) as u8;
        bad
    };
    for (at, value) in
        [(4, good[4] | 1), (4, good[4] | 2), (4, good[4] & 0x3F), (5, 0x30), (5, 0x41), (6, 0), (6, 0xFF)]
    {
        let mut bad = good.clone();
        bad[at] = value;
        assert!(decode(&reseal(bad)).is_err(), "{at} {value:#x}");
    }
}
