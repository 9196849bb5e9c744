//! Arbitrary and mutated bytes: an answer or an error, never a panic and never an endless loop.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use codec::tar::ArchiveReader;
use codec::{Cipher, READ_ORDER};
use proptest::prelude::*;
use support::{WRITABLE, cipher, decode, encode, pages};

fn walk(bytes: &[u8]) {
    let mut reader = ArchiveReader::new(bytes);
    let mut buffer = [0; 4096];
    while let Ok(Some(member)) = reader.next_member() {
        let _ = member.name_str();
        while reader.read_content(&mut buffer).is_ok_and(|read| read > 0) {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        for codec in READ_ORDER {
            let _ = decode(codec, &Cipher::None, &bytes);
        }
        let _ = decode(codec::Codec::Lz4, &cipher(), &bytes);
        walk(&bytes);
    }

    #[test]
    fn mutated_streams(
        method in 0..4usize,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let compression = WRITABLE[method];
        let mut stored = encode(compression, &Cipher::None, &pages(20_000), 5000);
        for (at, value) in changes {
            let at = at.index(stored.len());
            stored[at] = value;
        }
        let _ = decode(compression.codec(), &Cipher::None, &stored);
        stored.truncate(cut.index(stored.len()));
        let _ = decode(compression.codec(), &Cipher::None, &stored);
    }

    /// Headers with a right checksum but arbitrary fields, and arbitrary extended headers.
    #[test]
    fn arbitrary_archives(
        fields in proptest::collection::vec(any::<u8>(), 512),
        flag in prop::sample::select(b"0xgLK5127S\0".to_vec()),
        size in 0..3000u32,
        records in "([0-9]{1,3} (path|size|uid|mtime|GNU.sparse.name|linkpath)=[0-9a-z.-]{0,5}\n){0,4}",
    ) {
        let mut header = tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(&fields);
        header.set_size(size.into());
        header.set_entry_type(tar::EntryType::new(flag));
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(records.as_bytes());
        bytes.resize(4096, 0);
        walk(&bytes);
    }
}
