//! `<backup>/manifest.json.zst`: Damson's own list of what a backup consists of, so that nothing can be missing or altered
//! unnoticed. WAL-G stores no hashes or sizes and ignores this object.
//!
//! One JSON document, compressed by the caller:
//! `{"version":1,"backup":"<name>","files":[{"path","size","mode","blake3","object"}],"objects":[{"name","size","blake3"}]}`;
//! a file of which the object holds an increment has `"increment":true` too.
//! Written and read piece by piece: files as they come, objects last. Readers take the two lists in either order.

use std::fmt;
use std::io::{self, BufReader, Read, Write};
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::{BackupName, ContentHash, Error, go_json};

/// Version of the manifests this release writes, and the newest it reads.
pub const VERSION: u32 = 1;

const BUFFER_BYTES: usize = 256 * 1024;

/// A file of the data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct ManifestFile {
    /// Relative to the data directory, with a leading slash.
    pub path: String,
    /// Bytes of the plain content.
    pub size: u64,
    /// Permission bits, as a number (0600 is 384).
    pub mode: u32,
    /// Of the plain content.
    pub blake3: ContentHash,
    /// Key of the object that holds it, relative to the backup's folder.
    pub object: String,
    /// The object holds an increment of the file ([`crate::increment`]): size and hash are those of the increment.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub increment: bool,
}

/// An object in the storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct ManifestObject {
    /// Key relative to the backup's folder.
    pub name: String,
    /// Bytes as stored.
    pub size: u64,
    /// Of the bytes as stored.
    pub blake3: ContentHash,
}

/// One piece of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestEntry {
    File(ManifestFile),
    Object(ManifestObject),
}

/// Writes a manifest: all files, then all objects, then [`Self::finish`].
pub struct ManifestWriter<W: Write> {
    out: W,
    in_objects: bool,
    follows: bool,
}

impl<W: Write> ManifestWriter<W> {
    /// Writes many small pieces: `out` should be buffered.
    pub fn new(mut out: W, backup: &BackupName) -> io::Result<Self> {
        write!(out, "{{\"version\":{VERSION},\"backup\":")?;
        out.write_all(&go_json::to_vec(backup))?;
        out.write_all(b",\"files\":[")?;
        Ok(Self { out, in_objects: false, follows: false })
    }

    /// Adds a file; an error after the first object.
    pub fn add_file(&mut self, file: &ManifestFile) -> io::Result<()> {
        if self.in_objects {
            let what = "a file was added to the manifest after its first object";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        self.add(&go_json::to_vec(file))
    }

    pub fn add_object(&mut self, object: &ManifestObject) -> io::Result<()> {
        self.open_objects()?;
        self.add(&go_json::to_vec(object))
    }

    /// Closes the document, flushes and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.open_objects()?;
        self.out.write_all(b"]}")?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn open_objects(&mut self) -> io::Result<()> {
        if self.in_objects {
            return Ok(());
        }
        self.in_objects = true;
        self.follows = false;
        self.out.write_all(b"],\"objects\":[")
    }

    fn add(&mut self, json: &[u8]) -> io::Result<()> {
        if self.follows {
            self.out.write_all(b",")?;
        }
        self.follows = true;
        self.out.write_all(json)
    }
}

/// Hands over the pieces of a (decompressed) manifest in its order and returns the name of its backup. An error may come
/// after any number of pieces: only when this returns `Ok` was the manifest complete. The reader needs no buffer.
pub fn read_manifest(reader: impl Read, mut visit: impl FnMut(ManifestEntry)) -> Result<BackupName, Error> {
    let mut json = serde_json::Deserializer::from_reader(BufReader::with_capacity(BUFFER_BYTES, reader));
    let mut newer_version = None;
    let document = Document { visit: &mut visit, newer_version: &mut newer_version };
    let result = json.deserialize_map(document).and_then(|name| json.end().map(|()| name));
    match newer_version {
        Some(found) => Err(Error::ManifestVersion { found, supported: VERSION }),
        None => result.map_err(|source| Error::from_json("the backup's manifest", source)),
    }
}

struct Document<'a> {
    visit: &'a mut dyn FnMut(ManifestEntry),
    newer_version: &'a mut Option<u32>,
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = BackupName;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the object of a manifest")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<BackupName, A::Error> {
        let (mut version, mut backup, mut files, mut objects) = (None, None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "version" => {
                    let found: u32 = map.next_value()?;
                    if found > VERSION {
                        *self.newer_version = Some(found);
                        return Err(A::Error::custom("a newer version"));
                    }
                    version = Some(found);
                }
                "backup" => backup = Some(map.next_value()?),
                // The version comes first, so that no piece is taken for what it may not be.
                _ if version.is_none() => return Err(A::Error::missing_field("version")),
                "files" => {
                    files = Some(map.next_value_seed(List::new(|file| (self.visit)(ManifestEntry::File(file))))?)
                }
                "objects" => {
                    objects =
                        Some(map.next_value_seed(List::new(|object| (self.visit)(ManifestEntry::Object(object))))?);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        files.ok_or_else(|| A::Error::missing_field("files"))?;
        objects.ok_or_else(|| A::Error::missing_field("objects"))?;
        backup.ok_or_else(|| A::Error::missing_field("backup"))
    }
}

/// A list whose elements are handed over one by one.
struct List<T, F: FnMut(T)> {
    each: F,
    element: PhantomData<T>,
}

impl<T, F: FnMut(T)> List<T, F> {
    fn new(each: F) -> Self {
        Self { each, element: PhantomData }
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(T)> DeserializeSeed<'de> for List<T, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(T)> Visitor<'de> for List<T, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element()? {
            (self.each)(element);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn file(path: &str) -> ManifestFile {
        let object = "tar_partitions/part_001.tar.zst".to_owned();
        ManifestFile {
            path: path.to_owned(),
            size: 8192,
            mode: 0o600,
            blake3: ContentHash([7; 32]),
            object,
            increment: false,
        }
    }

    fn written(files: &[ManifestFile], objects: &[ManifestObject]) -> Vec<u8> {
        let mut writer = ManifestWriter::new(Vec::new(), &BackupName::new("base_1").unwrap()).unwrap();
        files.iter().for_each(|file| writer.add_file(file).unwrap());
        objects.iter().for_each(|object| writer.add_object(object).unwrap());
        writer.finish().unwrap()
    }

    #[test]
    fn golden_bytes() {
        let object = ManifestObject { name: "metadata.json".to_owned(), size: 3, blake3: ContentHash([0xAB; 32]) };
        let files = [file("/a<b"), ManifestFile { increment: true, ..file("/base/1/2") }];
        let bytes = written(&files, std::slice::from_ref(&object));
        let (seven, ab) = ("07".repeat(32), "ab".repeat(32));
        let entry = |path: &str, more: &str| {
            format!(
                r#"{{"path":"{path}","size":8192,"mode":384,"blake3":"{seven}","object":"tar_partitions/part_001.tar.zst"{more}}}"#
            )
        };
        let expected = format!(
            r#"{{"version":1,"backup":"base_1","files":[{},{}],"objects":[{{"name":"metadata.json","size":3,"blake3":"{ab}"}}]}}"#,
            entry("/a\\u003cb", ""),
            entry("/base/1/2", r#","increment":true"#)
        );
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), expected);

        let mut entries = Vec::new();
        assert_eq!(read_manifest(&bytes[..], |entry| entries.push(entry)).unwrap().as_str(), "base_1");
        let [first, second] = files.map(ManifestEntry::File);
        assert_eq!(entries, [first, second, ManifestEntry::Object(object)]);
    }

    #[test]
    fn empty_lists_and_the_order_of_pieces() {
        let bytes = written(&[], &[]);
        assert_eq!(bytes, br#"{"version":1,"backup":"base_1","files":[],"objects":[]}"#);
        read_manifest(&bytes[..], |_| panic!("no entry")).unwrap();
        let mut writer = ManifestWriter::new(Vec::new(), &BackupName::new("base_1").unwrap()).unwrap();
        writer.add_object(&ManifestObject { name: "x".to_owned(), size: 0, blake3: ContentHash([0; 32]) }).unwrap();
        assert!(writer.add_file(&file("/a")).is_err());
    }

    #[test]
    fn every_truncation_is_noticed() {
        let bytes = written(&[file("/a"), file("/b")], &[]);
        for end in 0..bytes.len() {
            assert_eq!(read_manifest(&bytes[..end], |_| ()).unwrap_err().kind(), ErrorKind::Corrupt, "{end} bytes");
        }
    }

    #[test]
    fn incomplete_and_newer_manifests_are_refused() {
        let newer = r#"{"version":2,"backup":"base_1","files":5}"#;
        assert_eq!(read_manifest(newer.as_bytes(), |_| ()).unwrap_err().kind(), ErrorKind::Unsupported);
        for text in [
            "{}",
            r#"{"files":[],"version":1,"backup":"base_1","objects":[]}"#,
            r#"{"version":1,"backup":"base_1","files":[]}"#,
            r#"{"version":1,"backup":"base_1","objects":[]}"#,
            r#"{"version":1,"files":[],"objects":[]}"#,
            r#"{"version":1,"backup":"../x","files":[],"objects":[]}"#,
            r#"{"version":1,"backup":"base_1","files":[{"path":"/a"}],"objects":[]}"#,
        ] {
            assert_eq!(read_manifest(text.as_bytes(), |_| ()).unwrap_err().kind(), ErrorKind::Corrupt, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn altered_bytes_never_panic(at in 0usize..400, byte: u8) {
            let mut bytes = written(&[file("/a")], &[]);
            let length = bytes.len();
            bytes[at % length] = byte;
            let _ = read_manifest(&bytes[..], |_| ());
        }
    }
}
