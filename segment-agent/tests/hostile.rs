//! Archives made by somebody who means harm: refused or harmless, and nothing is written outside of the data directory.
//!
//! The trees here have no manifest, as WAL-G's, so nothing but the restore itself stands in the way.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use codec::tar::{ArchiveWriter, Kind, Member};
use codec::{Cipher, Compression};
use formats::BackupName;
use formats::segment::SegmentSentinel;
use segment_agent::error::Error;
use segment_agent::fetch::{FetchRequest, Fetched, fetch};
use segment_agent::monitor::Monitor;
use segment_agent::pool::Pool;
use segment_agent::repository::Repository;
use storage::Store;
use tokio_util::sync::CancellationToken;

const BACKUP: &str = "base_000000010000000000000002";

/// One member with its content.
type Entry = (Member, Vec<u8>);

fn file(name: &str, content: &str) -> Entry {
    (Member::file(name, content.len() as u64), content.as_bytes().to_vec())
}

fn special(name: &str, kind: Kind) -> Entry {
    (Member { kind, ..Member::file(name, 0) }, Vec::new())
}

fn link(name: &str, target: &Path) -> Entry {
    special(name, Kind::Symlink(target.to_str().unwrap().as_bytes().to_vec()))
}

fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut writer = ArchiveWriter::new(Vec::new());
    for (member, content) in entries {
        if content.is_empty() {
            writer.append_header_only(member).unwrap();
            continue;
        }
        writer.begin_file(member).unwrap();
        writer.write_content(content).unwrap();
        writer.end_file().unwrap();
    }
    writer.finish().unwrap()
}

/// A folder with a data directory to be restored into, and things beside it that must stay as they are.
struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("outside")).unwrap();
        std::fs::write(folder.path().join("outside/precious"), "precious").unwrap();
        Scene { folder }
    }

    fn outside(&self) -> PathBuf {
        self.folder.path().join("outside")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Restores a backup of these parts and a control file with two workers.
    async fn restore(&self, parts: &[Vec<u8>]) -> Result<Fetched, Error> {
        let sentinel = SegmentSentinel { files_metadata_disabled: true, ..SegmentSentinel::default() };
        self.restore_with(&sentinel, parts).await
    }

    async fn restore_with(&self, sentinel: &SegmentSentinel, parts: &[Vec<u8>]) -> Result<Fetched, Error> {
        let backup = BackupName::new(BACKUP).unwrap();
        let repository = Repository::over(Store::memory(), Compression::None, Cipher::None);
        repository.put_json(&formats::layout::sentinel_key(&backup), sentinel).await.unwrap();
        let control = archive(&[file("/global/pg_control", "control")]);
        let named = parts.iter().enumerate().map(|(at, part)| (format!("part_{:03}.tar", at + 1), part));
        for (name, part) in named.chain([("pg_control.tar".to_owned(), &control)]) {
            let key = formats::layout::part_key(&backup, &name);
            repository.store().put(&key, Bytes::from(part.clone())).await.unwrap();
        }
        let request = FetchRequest { durable: false, ..FetchRequest::new(backup, self.data(), false) };
        let (pool, cancel) = (Pool::with_workers(2), CancellationToken::new());
        fetch(&repository, &request, &pool, &Monitor::silent(), &cancel).await
    }

    /// Nothing beside the data directory was made, changed or given another mode.
    fn assert_untouched(&self, what: &str) {
        let names = |dir: &Path| {
            let mut names: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let inside = names(self.folder.path());
        assert!(inside == ["data", "outside"] || inside == ["outside"], "{what}: {inside:?}");
        assert_eq!(names(&self.outside()), ["precious"], "{what}");
        assert_eq!(std::fs::read_to_string(self.outside().join("precious")).unwrap(), "precious", "{what}");
    }

    /// A failed restore never looks finished.
    fn assert_unfinished(&self, what: &str) {
        assert!(!self.data().join("global/pg_control").exists(), "{what}");
    }
}

#[tokio::test]
async fn names_that_climb_out_are_refused() {
    let names = ["../x", "/../x", "/base/../../x", "base/../../outside/precious", "/..", "..", "/base/1/../../../x"];
    for name in names {
        let scene = Scene::new();
        let part = archive(&[file("/PG_VERSION", "15\n"), file(name, "evil")]);
        let error = scene.restore(&[part]).await.unwrap_err();
        assert!(error.to_string().contains("outside the data directory"), "{name}: {error}");
        assert!(error.remedy().is_some());
        scene.assert_untouched(name);
        scene.assert_unfinished(name);
    }
    for (name, kind) in [("/../d", Kind::Directory), ("/../l", Kind::Symlink(b"/etc".to_vec()))] {
        let scene = Scene::new();
        assert!(scene.restore(&[archive(&[special(name, kind)])]).await.is_err(), "{name}");
        scene.assert_untouched(name);
    }
}

/// A path that is absolute on this machine lies below the data directory, as all names of a backup do.
#[tokio::test]
async fn absolute_paths_stay_inside() {
    let scene = Scene::new();
    let precious = scene.outside().join("precious");
    let part = archive(&[file(precious.to_str().unwrap(), "evil"), file("//etc/passwd", "evil")]);
    scene.restore(&[part]).await.unwrap();
    scene.assert_untouched("absolute");
    assert_eq!(std::fs::read_to_string(scene.data().join("etc/passwd")).unwrap(), "evil");
}

#[tokio::test]
async fn nothing_is_written_through_a_link() {
    let scene = Scene::new();
    let outside = scene.outside();
    let escape = link("/base", &outside);
    let below = file("/base/precious", "evil");
    let same_part = vec![archive(&[escape.clone(), below.clone()])];
    let two_parts = vec![archive(std::slice::from_ref(&escape)), archive(std::slice::from_ref(&below))];
    let control = vec![archive(&[link("/global", &outside)])];
    let through_file = vec![archive(&[link("/x", &outside.join("precious")), file("/x", "evil")])];
    let directory = vec![archive(&[escape, special("/base/d", Kind::Directory)])];
    for parts in [same_part, two_parts, control, through_file, directory] {
        let scene = Scene { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(scene.outside()).unwrap();
        std::fs::write(scene.outside().join("precious"), "precious").unwrap();
        let _ = scene.restore(&parts).await;
        scene.assert_untouched("link");
        // Again: what the first run left must not help.
        let _ = scene.restore(&parts).await;
        scene.assert_untouched("link, second run");
    }
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(std::fs::read_to_string(outside.join("precious")).unwrap(), "precious");
}

/// Other names of files outside, and devices, are left out.
#[tokio::test]
async fn hard_links_and_devices_are_left_out() {
    let scene = Scene::new();
    let precious = scene.outside().join("precious");
    let hard = special("/hard", Kind::HardLink(precious.to_str().unwrap().as_bytes().to_vec()));
    let part = archive(&[hard, special("/device", Kind::Other(b'3')), special("/fifo", Kind::Other(b'6'))]);
    scene.restore(&[part, archive(&[file("/PG_VERSION", "15\n")])]).await.unwrap();
    for name in ["hard", "device", "fifo"] {
        assert!(!scene.data().join(name).exists(), "{name}");
    }
    assert_eq!(std::fs::metadata(precious).unwrap().nlink(), 1);
    scene.assert_untouched("hard link");
}

#[tokio::test]
async fn sizes_that_are_lies_are_refused_without_filling_the_disk() {
    for size in [4096, 1 << 40, (1 << 62) - 1] {
        let scene = Scene::new();
        let mut writer = ArchiveWriter::new(Vec::new());
        let mut part = Vec::new();
        if writer.begin_file(&Member::file("/base/1/1", size)).is_ok() {
            writer.write_content(b"short").unwrap();
            // The header and what was written so far; the writer itself would fill up.
            let bytes = archive(&[file("/base/1/1", "short")]);
            part = header_with_size(&bytes[..512], size);
            part.extend_from_slice(b"short");
        }
        let error = scene.restore(&[part]).await.unwrap_err();
        assert!(error.to_string().contains("part_001.tar"), "{size}: {error}");
        scene.assert_untouched("size");
        scene.assert_unfinished("size");
        let written = std::fs::metadata(scene.data().join("base/1/1")).map_or(0, |metadata| metadata.blocks() * 512);
        assert!(written < 1 << 20, "{written} bytes");
    }
}

/// A header with another size (GNU's binary number) and a right checksum.
fn header_with_size(header: &[u8], size: u64) -> Vec<u8> {
    let mut header = header.to_vec();
    header[124..136].fill(0);
    header[124] = 0x80;
    header[128..136].copy_from_slice(&size.to_be_bytes());
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// A name twice is one file; a file below a file, and a file in a directory's place, are errors.
#[tokio::test]
async fn duplicate_and_contradicting_names_do_no_harm() {
    let scene = Scene::new();
    let part = archive(&[file("/a", "first, and longer"), file("/a", "second"), file("a", "third")]);
    scene.restore(&[part]).await.unwrap();
    assert_eq!(std::fs::read_to_string(scene.data().join("a")).unwrap(), "third");

    for contradiction in [
        archive(&[file("/a", "1"), file("/a/b", "2")]),
        archive(&[special("/a", Kind::Directory), file("/a", "2")]),
        archive(&[file("/.", "root")]),
        archive(&[file("/.damson-restore", "marker")]),
        archive(&[file(&format!("/{}", "n".repeat(5000)), "long")]),
    ] {
        let scene = Scene::new();
        assert!(scene.restore(&[contradiction]).await.is_err());
        scene.assert_untouched("contradiction");
        scene.assert_unfinished("contradiction");
    }
}

/// Names that are no text cannot be restored as they were.
#[tokio::test]
async fn names_that_are_no_text_are_refused() {
    let scene = Scene::new();
    let part = archive(&[(Member::file(b"/base/\xff\xfe".to_vec(), 1), b"x".to_vec())]);
    let error = scene.restore(&[part]).await.unwrap_err();
    assert!(error.to_string().contains("part_001.tar"), "{error}");
}

/// The links of tablespaces are the one kind that is followed, so their names are checked too.
#[tokio::test]
async fn tablespace_links_stay_inside() {
    for name in ["../evil", "pg_tblspc/../../evil", ""] {
        let scene = Scene::new();
        let spec = serde_json::json!({
            "base_prefix": "/data", "tablespaces": ["16384"],
            "16384": {"loc": scene.folder.path().join("data/space"), "link": name},
        });
        let sentinel = SegmentSentinel {
            files_metadata_disabled: true,
            tablespaces: Some(serde_json::from_value(spec).unwrap()),
            ..SegmentSentinel::default()
        };
        let outcome = scene.restore_with(&sentinel, &[archive(&[file("/PG_VERSION", "15\n")])]).await;
        assert!(outcome.is_err(), "{name:?}");
        scene.assert_untouched(name);
    }
}
