//! Listings of directory trees: path, size, mode and SHA-256 of every file, path and mode of every directory.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::user;

/// What a listing says of one path. Rows read `path<TAB>size<TAB>mode<TAB>SHA-256` (or the target of a symbolic link),
/// directories `path/<TAB>-<TAB>mode`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    File { size: u64, mode: u32, sha256: String },
    Directory { mode: u32 },
    Link { target: String },
}

/// By path relative to the tree's root; directories without the trailing slash, the root itself is left out.
pub type Listing = BTreeMap<String, Entry>;

/// Lists everything below `root`.
pub fn list(root: &Path) -> Listing {
    let mut listing = Listing::new();
    let mut files = Vec::new();
    walk(root, root, &mut listing, &mut files);
    for (path, sum) in files.iter().zip(sums(&files)) {
        let meta = std::fs::metadata(path).unwrap();
        let entry = Entry::File { size: meta.size(), mode: meta.permissions().mode() & 0o7777, sha256: sum };
        listing.insert(relative(root, path), entry);
    }
    listing
}

fn walk(root: &Path, dir: &Path, listing: &mut Listing, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap_or_else(|e| panic!("list {}: {e}", dir.display())) {
        let path = entry.unwrap().path();
        let meta = std::fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            listing.insert(relative(root, &path), Entry::Directory { mode: meta.permissions().mode() & 0o7777 });
            walk(root, &path, listing, files);
        } else if meta.is_symlink() {
            let target = std::fs::read_link(&path).unwrap().display().to_string();
            listing.insert(relative(root, &path), Entry::Link { target });
        } else if meta.is_file() {
            files.push(path);
        }
    }
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap().to_str().expect("a path that is not UTF-8").to_string()
}

/// SHA-256 of each file, by the system's sha256sum. `-z` prints names as they are, ended by NUL.
fn sums(files: &[PathBuf]) -> Vec<String> {
    let mut all = Vec::with_capacity(files.len());
    for some in files.chunks(500) {
        let printed = user::run(Command::new("sha256sum").args(["-z", "--"]).args(some));
        all.extend(printed.split_terminator('\0').map(|line| line[..64].to_string()));
    }
    assert_eq!(all.len(), files.len());
    all
}

/// Reads the text of a listing.
pub fn parse(text: &str) -> Listing {
    let rows = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let mut listing: Listing = rows.map(|row| parse_row(&row)).collect();
    listing.remove("");
    listing
}

fn parse_row(row: &[&str]) -> (String, Entry) {
    let mode = |text: &str| u32::from_str_radix(text, 8).unwrap_or_else(|_| panic!("mode in {row:?}"));
    let (name, entry) = match row {
        [path, "-", bits] => (path.strip_suffix('/').expect("directory"), Entry::Directory { mode: mode(bits) }),
        [path, size, bits, sum] => {
            let size = size.parse().unwrap_or_else(|_| panic!("size in {row:?}"));
            (*path, Entry::File { size, mode: mode(bits), sha256: sum.to_string() })
        }
        _ => panic!("not a row of a listing: {row:?}"),
    };
    (name.to_string(), entry)
}

/// Leaves out the paths (and everything below them) for which `drop` holds.
pub fn without(mut listing: Listing, drop: impl Fn(&str) -> bool) -> Listing {
    listing.retain(|path, _| !path.match_indices('/').any(|(at, _)| drop(&path[..at])) && !drop(path));
    listing
}

/// The differences, a line each and at most 40; empty when the listings are equal.
pub fn differences(expected: &Listing, found: &Listing) -> String {
    let mut lines = Vec::new();
    for (path, entry) in expected {
        match found.get(path) {
            None => lines.push(format!("missing     {path}")),
            Some(other) if other != entry => lines.push(format!("different   {path}: {}", change(entry, other))),
            Some(_) => {}
        }
    }
    lines.extend(found.keys().filter(|path| !expected.contains_key(*path)).map(|path| format!("unexpected  {path}")));
    let count = lines.len();
    if count > 40 {
        lines.truncate(40);
        lines.push(format!("... {count} differences in all"));
    }
    lines.join("\n")
}

fn change(expected: &Entry, found: &Entry) -> String {
    match (expected, found) {
        (Entry::File { size: s1, mode: m1, .. }, Entry::File { size: s2, mode: m2, .. }) if s1 == s2 && m1 == m2 => {
            "other content".to_string()
        }
        (Entry::File { size: s1, mode: m1, .. }, Entry::File { size: s2, mode: m2, .. }) => {
            format!("{s1} bytes, mode {m1:o} became {s2} bytes, mode {m2:o}")
        }
        _ => format!("{expected:?} became {found:?}"),
    }
}

/// Asserts that the listings are equal.
#[track_caller]
pub fn assert_same(expected: &Listing, found: &Listing) {
    let text = differences(expected, found);
    assert!(text.is_empty(), "the trees differ:\n{text}");
}

/// What a compressed file holds, as text.
pub(crate) fn read_zstd(path: &Path) -> String {
    user::run(Command::new("zstd").args(["-d", "-c", "-q"]).arg(path))
}

/// Unpacks an archive (any compression GNU tar knows) as the rig's user into a directory; times are restored.
pub(crate) fn unpack(archive: &Path, into: &Path) {
    // By way of a pipe: the checkout may be out of the user's reach.
    let kind = if archive.extension().is_some_and(|ext| ext == "zst") { "--zstd" } else { "--gzip" };
    let mut tar = crate::User::get().command("tar");
    tar.arg(kind).args(["-x", "-p", "-f", "-", "-C"]).arg(into);
    let mut child = tar.stdin(Stdio::piped()).spawn().unwrap();
    let bytes = std::fs::read(archive).unwrap_or_else(|e| panic!("read {}: {e}", archive.display()));
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    assert!(child.wait().unwrap().success(), "tar cannot unpack {}", archive.display());
}
