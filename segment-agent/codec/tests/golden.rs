//! Objects that WAL-G 3.0.9 wrote: all of them are read, and archives are rewritten to the same bytes.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use codec::tar::{ArchiveReader, ArchiveWriter, Kind};
use codec::{Cipher, Codec, Compression};
use support::{cipher, decode, encode, visit_greenplum6, visit_postgres15};

/// Reads an archive member by member and writes it again.
fn rewritten(archive: &[u8]) -> Vec<u8> {
    let mut reader = ArchiveReader::new(archive);
    let mut writer = ArchiveWriter::new(Vec::new());
    let mut buffer = vec![0; 100_000];
    while let Some(member) = reader.next_member().unwrap() {
        if member.kind != Kind::File {
            writer.append_header_only(&member).unwrap();
            continue;
        }
        writer.begin_file(&member).unwrap();
        loop {
            match reader.read_content(&mut buffer).unwrap() {
                0 => break,
                read => writer.write_content(&buffer[..read]).unwrap(),
            }
        }
        assert_eq!(writer.end_file().unwrap(), 0);
    }
    let mut bytes = writer.finish().unwrap();
    if !reader.has_trailer() {
        bytes.truncate(bytes.len() - 1024);
    }
    bytes
}

/// Checks one object; returns true if it is an archive.
fn check(key: &str, stored: &[u8], cipher: &Cipher) -> bool {
    if key.ends_with(".json") || key.contains("aosegments") {
        return false;
    }
    let (stem, codec) = Codec::from_file_name(key);
    assert_ne!(codec, Codec::None, "{key}");
    let content = decode(codec, cipher, stored).unwrap_or_else(|error| panic!("{key}: {error}"));
    if !stem.ends_with(".tar") {
        return false;
    }
    assert!(rewritten(&content) == content, "{key}: the archive differs after rewriting");
    if codec == Codec::Lz4 && matches!(cipher, Cipher::None) {
        let ours = encode(Compression::Lz4, cipher, &content, usize::MAX);
        assert_eq!(ours[..7], stored[..7], "{key}: frame header");
        assert_eq!(ours[ours.len() - 8..], stored[stored.len() - 8..], "{key}: end mark and checksum");
    }
    if codec == Codec::Zstd {
        let ours = encode(Compression::Zstd(codec::ZstdLevel::Default), cipher, &content, usize::MAX);
        assert_eq!(ours[ours.len() - 4..], stored[stored.len() - 4..], "{key}: checksum");
    }
    true
}

#[test]
fn postgres_trees() {
    for name in ["pg15-lz4", "pg15-zstd", "pg15-brotli"] {
        let mut archives = 0;
        visit_postgres15(name, |key, stored| archives += usize::from(check(key, &stored, &Cipher::None)));
        assert!(archives >= 6, "{name}: {archives}");
    }
}

#[test]
fn the_encrypted_tree() {
    let mut archives = 0;
    visit_postgres15("pg15-lz4-libsodium", |key, stored| {
        archives += usize::from(check(key, &stored, &cipher()));
        if key.ends_with(".lz4") {
            assert!(decode(Codec::Lz4, &Cipher::None, &stored).is_err(), "{key}: read without its key");
        }
    });
    assert!(archives >= 6);
}

#[test]
fn the_greenplum_tree() {
    let mut archives = 0;
    visit_greenplum6(|key, stored| archives += usize::from(check(key, &stored, &Cipher::None)));
    assert!(archives >= 18, "{archives}");
}
