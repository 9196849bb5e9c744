//! Passes over files_metadata.json piece by piece: only one entry at a time is in memory.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{BufReader, Read};
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::Error;
use crate::files::{DatabasesByNames, FileDescription};

const BUFFER_BYTES: usize = 256 * 1024;

/// Reads a files_metadata.json once, from beginning to end, and keeps what is asked for. Every method reads the whole
/// document: a damaged end is noticed also when the wanted section stands before it.
pub struct FilesMetadataReader<R: Read> {
    reader: R,
    document: String,
}

impl<R: Read> FilesMetadataReader<R> {
    /// `document` names the source in errors, usually by its key. The reader needs no buffer of its own.
    pub fn new(document: impl Into<String>, reader: R) -> Self {
        Self { reader, document: document.into() }
    }

    /// Hands over the files in the order of the document.
    pub fn files(self, mut each: impl FnMut(String, FileDescription)) -> Result<(), Error> {
        self.read(&mut Wanted { file: Some(&mut each), ..Wanted::default() })
    }

    /// Hands over every pair of archive and member, in the order of the document.
    pub fn tar_members(self, mut each: impl FnMut(&str, String)) -> Result<(), Error> {
        self.read(&mut Wanted { tar_member: Some(&mut each), ..Wanted::default() })
    }

    /// Hands over the files and the members of archives in one pass.
    pub fn files_and_tar_members(
        self,
        mut file: impl FnMut(String, FileDescription),
        mut member: impl FnMut(&str, String),
    ) -> Result<(), Error> {
        self.read(&mut Wanted { file: Some(&mut file), tar_member: Some(&mut member), ..Wanted::default() })
    }

    /// File names of the archives that hold anything. WAL-G also lists archives that it never wrote, without members and
    /// even without a name; those are not among them.
    pub fn tar_file_sets(self) -> Result<BTreeSet<String>, Error> {
        let mut names = BTreeSet::new();
        self.tar_members(|tar, _| {
            if !names.contains(tar) {
                names.insert(tar.to_owned());
            }
        })?;
        Ok(names)
    }

    /// The tables of all databases; empty if the document has none.
    pub fn databases(self) -> Result<DatabasesByNames, Error> {
        let mut databases = DatabasesByNames::new();
        self.read(&mut Wanted { databases: Some(&mut databases), ..Wanted::default() })?;
        Ok(databases)
    }

    fn read(self, wanted: &mut Wanted<'_>) -> Result<(), Error> {
        let buffered = BufReader::with_capacity(BUFFER_BYTES, self.reader);
        let mut json = serde_json::Deserializer::from_reader(buffered);
        let result = json.deserialize_map(Document(wanted)).and_then(|()| json.end());
        result.map_err(|source| Error::from_json(&self.document, source))
    }
}

type EachFile<'a> = dyn FnMut(String, FileDescription) + 'a;
type EachMember<'a> = dyn FnMut(&str, String) + 'a;

/// What becomes of the pieces; `None`: passed over.
#[derive(Default)]
struct Wanted<'a> {
    file: Option<&'a mut EachFile<'a>>,
    tar_member: Option<&'a mut EachMember<'a>>,
    databases: Option<&'a mut DatabasesByNames>,
}

struct Document<'w, 'a>(&'w mut Wanted<'a>);

impl<'de> Visitor<'de> for Document<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the object of a files_metadata.json")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let wanted = self.0;
        while let Some(section) = map.next_key::<String>()? {
            match section.as_str() {
                "Files" => read_files(&mut map, wanted)?,
                "TarFileSets" => read_tars(&mut map, wanted)?,
                "DatabasesByNames" => {
                    if let Some(databases) = &mut wanted.databases {
                        **databases = map.next_value::<Option<_>>()?.unwrap_or_default();
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

fn read_files<'de, A: MapAccess<'de>>(map: &mut A, wanted: &mut Wanted<'_>) -> Result<(), A::Error> {
    match &mut wanted.file {
        Some(each) => map.next_value_seed(Entries::new(|path, Taken(description)| each(path, description))),
        None => map.next_value().map(|IgnoredAny| ()),
    }
}

fn read_tars<'de, A: MapAccess<'de>>(map: &mut A, wanted: &mut Wanted<'_>) -> Result<(), A::Error> {
    match &mut wanted.tar_member {
        Some(each) => map.next_value_seed(Tars(*each)),
        None => map.next_value().map(|IgnoredAny| ()),
    }
}

/// A value that may be `null`.
struct Taken<T>(T);

impl<'de, T: Default + Deserialize<'de>> Deserialize<'de> for Taken<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Option::deserialize(deserializer)?.unwrap_or_default()))
    }
}

/// An object (or `null`) whose entries are handed over one by one.
struct Entries<V, F: FnMut(String, V)> {
    each: F,
    value: PhantomData<V>,
}

impl<V, F: FnMut(String, V)> Entries<V, F> {
    fn new(each: F) -> Self {
        Self { each, value: PhantomData }
    }
}

impl<'de, V: Deserialize<'de>, F: FnMut(String, V)> DeserializeSeed<'de> for Entries<V, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, V: Deserialize<'de>, F: FnMut(String, V)> Visitor<'de> for Entries<V, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, value)) = map.next_entry()? {
            (self.each)(key, value);
        }
        Ok(())
    }
}

/// `TarFileSets`, member by member.
struct Tars<'a>(&'a mut dyn FnMut(&str, String));

impl<'de> DeserializeSeed<'de> for Tars<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tars<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the members of each archive")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(tar) = map.next_key::<String>()? {
            map.next_value_seed(Members { tar: &tar, each: &mut *self.0 })?;
        }
        Ok(())
    }
}

/// The members of one archive.
struct Members<'a> {
    tar: &'a str,
    each: &'a mut dyn FnMut(&str, String),
}

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of member names")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(member) = members.next_element()? {
            (self.each)(self.tar, member);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    const DOCUMENT: &str = r#"{"Files":{"/":{"IsIncremented":false,"IsSkipped":false,"MTime":"2026-11-21T08:10:14Z","UpdatesCount":0},
        "/a":{"IsIncremented":true,"MTime":"2026-11-21T08:10:14Z","CorruptBlocks":{"CorruptBlocksCount":2,"SomeCorruptBlocks":[1,7]}},"/b":null},
        "New":{"x":[1]},"TarFileSets":{"part_001.tar":["/","/a"],"part_003.tar":null,"":[]},
        "DatabasesByNames":{"postgres":{"oid":5,"tables_new":{"public.t":{"oid":6,"relfilenode":7}}}}}"#;

    fn reader(text: &str) -> FilesMetadataReader<&[u8]> {
        FilesMetadataReader::new("files_metadata.json", text.as_bytes())
    }

    #[test]
    fn each_section_alone() {
        let mut files = Vec::new();
        reader(DOCUMENT).files(|path, description| files.push((path, description))).unwrap();
        assert_eq!(files.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["/", "/a", "/b"]);
        assert!(files[1].1.is_incremented);
        assert_eq!(files[1].1.corrupt_blocks.as_ref().unwrap().some, [1, 7]);

        let mut members = Vec::new();
        reader(DOCUMENT).tar_members(|tar, member| members.push(format!("{tar}:{member}"))).unwrap();
        assert_eq!(members, ["part_001.tar:/", "part_001.tar:/a"]);
        assert_eq!(reader(DOCUMENT).tar_file_sets().unwrap().into_iter().collect::<Vec<_>>(), ["part_001.tar"]);
        assert_eq!(reader(DOCUMENT).databases().unwrap()["postgres"].tables["public.t"].relfilenode, 7);
    }

    #[test]
    fn absent_and_null_sections_are_empty() {
        for text in ["{}", r#"{"Files":null,"TarFileSets":null,"DatabasesByNames":null}"#] {
            reader(text).files_and_tar_members(|_, _| panic!("no file"), |_, _| panic!("no member")).unwrap();
            assert!(reader(text).tar_file_sets().unwrap().is_empty());
            assert!(reader(text).databases().unwrap().is_empty());
        }
    }

    #[test]
    fn damage_is_noticed_wherever_it_is() {
        for end in 0..DOCUMENT.len() {
            let error = reader(&DOCUMENT[..end]).tar_file_sets().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{end} bytes: {error}");
        }
        for text in
            ["[]", "{}{}", r#"{"Files":[]}"#, r#"{"Files":{"/":{"MTime":"x"}}}"#, r#"{"TarFileSets":{"p":[1]}}"#]
        {
            assert!(reader(text).files_and_tar_members(|_, _| (), |_, _| ()).is_err(), "{text}");
        }
    }

    #[test]
    fn trouble_with_the_reader_is_told_apart() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::ConnectionReset.into())
            }
        }
        let error = FilesMetadataReader::new("x", Broken).tar_file_sets().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
    }
}
