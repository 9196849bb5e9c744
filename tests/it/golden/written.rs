//! What Damson writes has the form of what WAL-G writes.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use codec::{Cipher, Codec, Decoder};
use rig::{Scratch, StandSpec, golden};
use serde_json::Value;

use crate::stands;

/// Bytes of an archive's beginning that are compared.
const HEAD_BYTES: usize = 1024;

/// Every document has the keys of WAL-G's document of the same kind, in the same order, with values of the same types.
#[test]
fn documents_have_wal_gs_keys() {
    let stand = stands::small("written", &StandSpec::default());
    stand.damson(&["backup-push", "--add-user-data", r#"{"label":"monday"}"#]).ok();
    let theirs = golden::greenplum6(&stand.scratch);
    let ours = stand.store_dir();

    let backup = stands::latest(&stand);
    let document = |root: &Path, name: &str| read(&root.join("basebackups_005").join(name));
    let sentinel = document(&ours, &format!("{backup}_backup_stop_sentinel.json"));
    let golden_name = golden::GREENPLUM6_BACKUPS[0];
    let expected = document(&theirs, &format!("{golden_name}_backup_stop_sentinel.json"));
    assert_eq!(shape(&sentinel), with_identifier(shape(&expected)));
    let point = document(&ours, &format!("{backup}_restore_point.json"));
    let expected = document(&theirs, &format!("{golden_name}_restore_point.json"));
    assert_eq!(shape(&point), with_identifier(shape(&expected)));

    // Segments of Greenplum 6 have no system identifier; a plain server of our version has.
    let server = golden::postgres15(&stand.scratch, "pg15-lz4").join("storage");
    for content in stand.cluster.contents() {
        let segment = sentinel["segments"].as_array().unwrap().iter().find(|row| row["content_id"] == content).unwrap();
        let name = segment["backup_name"].as_str().unwrap();
        let ours = ours.join(format!("segments_005/seg{content}"));
        for file in ["_backup_stop_sentinel.json", "/metadata.json", "/files_metadata.json"] {
            let expected = read(&server.join(format!("basebackups_005/base_000000010000000000000003{file}")));
            let found = read(&ours.join(format!("basebackups_005/{name}{file}")));
            assert_eq!(segment_shape(&found), segment_shape(&expected), "{file} of content {content}");
        }
        for file in ["ao_files_metadata.json", "pax_files_metadata.json"] {
            let text = std::fs::read_to_string(ours.join(format!("basebackups_005/{name}/{file}"))).unwrap();
            assert_eq!(text, r#"{"Files":{}}"#, "{file} of content {content}");
        }
    }
}

/// Archives of each codec begin as WAL-G's do: the same frame, the same parameters, the same first members.
#[test]
fn archives_begin_as_wal_gs() {
    let mut stand = stands::small("heads", &StandSpec::default());
    for (method, tree) in [
        ("lz4", Some("pg15-lz4")),
        ("zstd", Some("pg15-zstd")),
        ("brotli", Some("pg15-brotli")),
        ("lzma", None),
        ("none", None),
    ] {
        let store = stand.scratch.dir(format!("store-{method}"));
        stand.set("WALG_FILE_PREFIX", store.to_str().unwrap());
        stand.set("WALG_COMPRESSION_METHOD", method);
        stand.damson(&["backup-push"]).ok();
        let ours = tar_partitions(&store.join("segments_005/seg0/basebackups_005"));
        // Of codecs without a golden tree of their own, the members alone are compared.
        let theirs = golden_partitions(&stand.scratch, tree.unwrap_or("pg15-lz4"));
        let same_codec = tree.is_some();
        for name in ["part_001.tar", "pg_control.tar", "backup_label.tar"] {
            compare(&with_any_extension(&ours, name), &with_any_extension(&theirs, name), same_codec);
        }
        if method == "lzma" {
            let head = std::fs::read(with_any_extension(&ours, "part_001.tar")).unwrap();
            // lc=3 lp=0 pb=2, and the size left open: the end marker tells.
            assert!(head[0] == 0x5d && head[5..13] == [0xff; 8], "{:x?}", &head[..13]);
        }
    }
}

fn compare(ours: &Path, theirs: &Path, same_codec: bool) {
    let (found, expected) = (tar_members(ours), tar_members(theirs));
    let of_data = ours.file_name().unwrap().to_str().unwrap().starts_with("part_");
    assert_eq!(found[0].0 == "/", of_data, "{found:?}");
    assert_eq!(found[0], expected[0], "the first member of {}", ours.display());
    if found.len() < 4 {
        assert_eq!(found, expected, "members of {}", ours.display());
    }
    if same_codec {
        assert_eq!(frame_head(ours), frame_head(theirs), "{}", ours.display());
    }
}

/// The bytes that say which format and parameters a stream has.
fn frame_head(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    match path.extension().unwrap().to_str().unwrap() {
        // Magic, flags, block size, checksum of these.
        "lz4" => bytes[..7].to_vec(),
        // Magic and frame descriptor; the window that follows may be smaller.
        "zst" => [&bytes[..4], &[bytes[4] & 0x07]].concat(),
        // The window size is in the first bits.
        "br" => vec![bytes[0] & 0x0f],
        other => panic!("no golden tree has {other}"),
    }
}

/// What the header of a member says besides name, size, time and checksum, of the first members of an archive; the name too
/// where it does not depend on the database.
fn tar_members(path: &Path) -> Vec<(String, Vec<u8>)> {
    let (_, codec) = Codec::from_file_name(path.file_name().unwrap().to_str().unwrap());
    let mut decoder = Decoder::new(codec, &Cipher::None, File::open(path).unwrap()).unwrap();
    let mut content = Vec::new();
    decoder.read_to_end(&mut content).unwrap();
    assert!(content.ends_with(&[0; HEAD_BYTES]), "{} has no end", path.display());
    let mut members = Vec::new();
    let mut rest = content.as_slice();
    while rest[0] != 0 && members.len() < 4 {
        let header = &rest[..512];
        let text =
            |from: usize, to: usize| String::from_utf8_lossy(&header[from..to]).trim_end_matches('\0').to_string();
        let size = u64::from_str_radix(text(124, 136).trim(), 8).unwrap();
        let name = text(0, 100);
        let known = !name.starts_with("/base/");
        // Mode, then (behind owner, size, time and checksum) type, link, magic and version, device numbers.
        let fixed = [&header[100..108], &header[156..265], &header[329..345]].concat();
        members.push((if known { name } else { String::from("/base/...") }, fixed));
        rest = &rest[512 + size.next_multiple_of(512) as usize..];
    }
    members
}

/// Keys in order with the types of their values. Maps whose keys are data have the shape of their values alone.
fn shape(value: &Value) -> String {
    match value {
        Value::Object(map) if map.keys().any(|key| key.parse::<i32>().is_ok()) => {
            format!("map of {}", all_alike(map.values()))
        }
        Value::Object(map) => {
            let fields: Vec<_> = map.iter().map(|(key, value)| format!("{key}:{}", shape(value))).collect();
            format!("{{{}}}", fields.join(" "))
        }
        Value::Array(items) => format!("[{}]", all_alike(items.iter())),
        Value::Null => "null".to_string(),
        Value::Bool(_) => "bool".to_string(),
        Value::Number(_) => "number".to_string(),
        Value::String(_) => "string".to_string(),
    }
}

fn all_alike<'a>(mut values: impl Iterator<Item = &'a Value>) -> String {
    let first = values.next().map(shape).unwrap_or_default();
    let other = values.map(shape).find(|other| *other != first);
    assert_eq!(other, None, "values differ in shape from {first}");
    first
}

/// [`shape`] of a segment's document, whose user data and file names are its own.
fn segment_shape(document: &Value) -> String {
    let mut document = document.clone();
    for data in ["UserData", "user_data"] {
        if let Some(value) = document.get_mut(data) {
            *value = Value::Bool(true);
        }
    }
    for map in ["Files", "TarFileSets", "DatabasesByNames"] {
        if let Some(Value::Object(entries)) = document.get_mut(map) {
            let shapes = entries.values_mut().map(|entry| {
                if let Some(Value::Object(tables)) = entry.get_mut("tables_new") {
                    let text = all_alike(tables.values());
                    entry["tables_new"] = Value::String(text);
                }
                shape(entry)
            });
            let shapes: std::collections::BTreeSet<_> = shapes.collect();
            document[map] = Value::String(String::from_iter(shapes));
        }
    }
    exact(&document)
}

/// [`shape`] with the text of strings that stand for the shape of a map.
fn exact(document: &Value) -> String {
    let fields = document.as_object().unwrap().iter().map(|(key, value)| match value {
        Value::String(text) if text.contains(':') && text.starts_with(['{', '[']) => format!("{key}:{text}"),
        _ => format!("{key}:{}", shape(value)),
    });
    fields.collect::<Vec<_>>().join(" ")
}

/// Greenplum 6 cannot tell the system identifier, later servers do.
fn with_identifier(shape: String) -> String {
    shape.replace("system_identifier:null", "system_identifier:number")
}

fn read(path: &Path) -> Value {
    let text = std::fs::read(path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn golden_partitions(scratch: &Scratch, tree: &str) -> PathBuf {
    golden::postgres15(scratch, tree).join("storage/basebackups_005/base_000000010000000000000003/tar_partitions")
}

/// The folder of the only backup's archives.
fn tar_partitions(backups: &Path) -> PathBuf {
    let folders = std::fs::read_dir(backups).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let folders: Vec<_> = folders.collect();
    assert_eq!(folders.len(), 1, "{folders:?}");
    folders[0].join("tar_partitions")
}

fn with_any_extension(folder: &Path, stem: &str) -> PathBuf {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut found: Vec<_> = names.filter(|name| name.starts_with(stem)).collect();
    assert_eq!(found.len(), 1, "{stem} in {}: {found:?}", folder.display());
    folder.join(found.remove(0))
}
