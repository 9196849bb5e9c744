//! The pages that WAL-G chose for its deltas are those that the scan chooses, and the increments are the same bytes. WAL-G does not
//! know Greenplum's page layout and stored heap files whole: there the scan's increments make the same files.

use std::path::Path;

use codec::{Cipher, SecretKey};
use formats::increment::PageIncrement;
use pgdata::{Fork, Lsn, PageScan, RelationPath};
use rig::{Scratch, golden};

use crate::deltas::levels::{self, Level, Tree};

const PG15_DELTA: &str = "base_000000010000000000000005_D_000000010000000000000003";

/// 8 KiB pages.
#[test]
fn pages_of_postgres15() {
    for name in golden::POSTGRES15 {
        let scratch = Scratch::new(name);
        let key = SecretKey::from_setting(golden::LIBSODIUM_KEY, "base64").unwrap();
        let cipher = if name.ends_with("libsodium") { Cipher::Libsodium(key) } else { Cipher::None };
        let storage = golden::postgres15(&scratch, name).join("storage");
        let pages = compare_chain(&storage, PG15_DELTA, &cipher, 8192);
        assert!(pages.chosen > 10 && pages.chosen < pages.scanned, "{name}: {pages:?}");
    }
}

/// 32 KiB pages, a delta and a delta of the delta, on every server.
#[test]
fn pages_of_greenplum6() {
    let scratch = Scratch::new("gp6-pages");
    let store = golden::greenplum6(&scratch);
    for backup in &golden::GREENPLUM6_BACKUPS[1..] {
        let sentinel = levels::read(&store.join(format!("basebackups_005/{backup}_backup_stop_sentinel.json")));
        let mut pages = Pages::default();
        for segment in sentinel["segments"].as_array().unwrap() {
            let root = store.join(format!("segments_005/seg{}", segment["content_id"]));
            pages += compare_chain(&root, segment["backup_name"].as_str().unwrap(), &Cipher::None, 32768);
        }
        assert!(pages.scanned > 300 && pages.chosen > 50 && pages.chosen < pages.scanned, "{backup}: {pages:?}");
    }
}

/// How many pages were looked at.
#[derive(Debug, Default)]
struct Pages {
    scanned: usize,
    chosen: usize,
}

impl std::ops::AddAssign for Pages {
    fn add_assign(&mut self, other: Self) {
        self.scanned += other.scanned;
        self.chosen += other.chosen;
    }
}

/// Compares every delta of a chain with what the scan makes of the restored files.
fn compare_chain(root: &Path, backup: &str, cipher: &Cipher, page_bytes: u32) -> Pages {
    let chain = levels::chain(root, backup, cipher);
    let mut below = chain[0].over(&Tree::new());
    let mut pages = Pages::default();
    for delta in &chain[1..] {
        let tree = delta.over(&below);
        let scan = PageScan::new(page_bytes, Lsn(delta.sentinel["DeltaLSN"].as_u64().unwrap()));
        for (path, content) in tree.iter().filter(|(path, content)| has_pages(path, content, page_bytes)) {
            if let Some(base) = below.get(path).filter(|_| delta.members.contains_key(path)) {
                pages += compare(delta, path, base, content, &scan);
            }
        }
        let increments = delta.members.keys().filter(|path| delta.says(path, "IsIncremented"));
        increments.for_each(|path| assert!(has_pages(path, &tree[path], page_bytes), "{}: {path}", delta.name));
        below = tree;
    }
    pages
}

fn has_pages(path: &str, content: &[u8], page_bytes: u32) -> bool {
    let is_main = |at: RelationPath| at.file.fork == Fork::Main && at.tablespace != 1664;
    RelationPath::parse(path).is_some_and(is_main)
        && !content.is_empty()
        && content.len().is_multiple_of(page_bytes as usize)
}

/// A file that both the delta and the backup below have.
fn compare(delta: &Level, path: &str, base: &[u8], content: &[u8], scan: &PageScan) -> Pages {
    let (name, page_bytes) = (&delta.name, scan.page_bytes() as usize);
    let mut blocks = Vec::new();
    let are_pages = scan.select(content, 0, &mut blocks);
    let is_increment = delta.says(path, "IsIncremented");
    assert!(are_pages || !is_increment, "{name}: {path}");
    if !are_pages {
        return Pages::default();
    }
    let page = |block: u32| &content[block as usize * page_bytes..][..page_bytes];
    let found = Pages { scanned: content.len() / page_bytes, chosen: blocks.len() };
    if is_increment {
        let pages: Vec<u8> = blocks.iter().flat_map(|block| page(*block)).copied().collect();
        let ours = PageIncrement { file_bytes: content.len() as u64, blocks };
        assert_eq!(ours, delta.increment(path).0, "{name}: {path}");
        assert!([ours.head(), pages].concat() == delta.members[path], "{name}: the bytes of {path}");
    } else {
        assert!(content[18] == 14, "{name}: WAL-G stored {path} whole, though it knows its layout");
        let mut merged = base.to_vec();
        merged.resize(content.len(), 0);
        blocks
            .iter()
            .for_each(|block| merged[*block as usize * page_bytes..][..page_bytes].copy_from_slice(page(*block)));
        assert!(merged == content, "{name}: the increment over {path}");
    }
    found
}
