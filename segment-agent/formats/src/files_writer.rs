//! Writes files_metadata.json piece by piece, so that the list of files never has to be in memory.

use std::io::{self, Write};

use crate::files::{DatabasesByNames, FileDescription};
use crate::go_json;

/// One entry of `Files`, `"<path>":{...}`, for [`FilesMetadataWriter::add_file_entry`]. Contains no line break, so that
/// entries can be spooled one a line.
pub fn file_entry_json(path: &str, description: &FileDescription) -> String {
    let mut entry = tar_member_json(path);
    entry.push(':');
    entry.push_str(&text(description));
    entry
}

/// One member name as a JSON string, for [`FilesMetadataWriter::add_tar_member_json`]. Contains no line break.
pub fn tar_member_json(name: &str) -> String {
    text(name)
}

fn text<T: serde::Serialize + ?Sized>(value: &T) -> String {
    String::from_utf8_lossy(&go_json::to_vec_unescaped(value)).into_owned()
}

/// Assembles the document in its fixed order: first all files, then archive by archive with its members, then, in
/// [`Self::finish`], the databases. Sections without entries are left out. Pieces out of order are an error.
pub struct FilesMetadataWriter<W: Write> {
    out: W,
    section: Section,
    /// Whether something stands before the next entry in the innermost open bracket.
    follows: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Start,
    Files,
    Tar,
}

impl<W: Write> FilesMetadataWriter<W> {
    /// Writes many small pieces: `out` should be buffered.
    pub fn new(out: W) -> Self {
        Self { out, section: Section::Start, follows: false }
    }

    /// Adds a file by an entry that [`file_entry_json`] made.
    pub fn add_file_entry(&mut self, entry: &str) -> io::Result<()> {
        match self.section {
            Section::Start => self.out.write_all(b"{\"Files\":{")?,
            Section::Files => {}
            Section::Tar => return Err(out_of_order("a file", "the archives")),
        }
        self.section = Section::Files;
        self.add(entry)
    }

    /// Opens the list of members of the archive `file_name`; every archive once.
    pub fn begin_tar(&mut self, file_name: &str) -> io::Result<()> {
        self.out.write_all(match self.section {
            Section::Start => b"{\"TarFileSets\":{",
            Section::Files => b"},\"TarFileSets\":{",
            Section::Tar => b"],",
        })?;
        self.section = Section::Tar;
        self.follows = false;
        write!(self.out, "{}:[", tar_member_json(file_name))
    }

    /// Adds a member to the archive begun last.
    pub fn add_tar_member(&mut self, name: &str) -> io::Result<()> {
        self.add_tar_member_json(&tar_member_json(name))
    }

    /// Adds a member by the JSON string that [`tar_member_json`] made.
    pub fn add_tar_member_json(&mut self, name_json: &str) -> io::Result<()> {
        if self.section != Section::Tar {
            return Err(out_of_order("an archive's member", "its archive was begun"));
        }
        self.add(name_json)
    }

    /// Writes the databases, closes the document, flushes and gives the writer back.
    pub fn finish(mut self, databases: &DatabasesByNames) -> io::Result<W> {
        self.out.write_all(match self.section {
            Section::Start => b"{",
            Section::Files => b"}",
            Section::Tar => b"]}",
        })?;
        if !databases.is_empty() {
            let comma = if self.section == Section::Start { "" } else { "," };
            write!(self.out, "{comma}\"DatabasesByNames\":")?;
            self.out.write_all(&go_json::to_vec_unescaped(databases))?;
        }
        self.out.write_all(b"}")?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn add(&mut self, json: &str) -> io::Result<()> {
        if self.follows {
            self.out.write_all(b",")?;
        }
        self.follows = true;
        self.out.write_all(json.as_bytes())
    }
}

fn out_of_order(what: &str, border: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{what} was added to files_metadata.json outside of {border}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{Database, FilesMetadata};

    fn written(metadata: &FilesMetadata) -> String {
        let mut writer = FilesMetadataWriter::new(Vec::new());
        for (path, description) in &metadata.files {
            writer.add_file_entry(&file_entry_json(path, description)).unwrap();
        }
        for (name, members) in &metadata.tar_file_sets {
            writer.begin_tar(name).unwrap();
            members.iter().for_each(|member| writer.add_tar_member(member).unwrap());
        }
        String::from_utf8(writer.finish(&metadata.databases).unwrap()).unwrap()
    }

    #[test]
    fn pieces_make_the_same_document_as_the_whole() {
        let entry = || FileDescription::whole("2026-11-21T08:10:14.5Z".parse().unwrap());
        let files = [("/".to_owned(), entry()), ("/a<\"\n".to_owned(), entry())];
        let tars =
            [("part_001.tar".to_owned(), vec!["/".to_owned(), "/a".to_owned()]), ("part_002.tar".to_owned(), vec![])];
        let databases = [("postgres".to_owned(), Database { oid: 5, ..Default::default() })];
        // Every combination of empty and filled sections.
        for filled in 0..8 {
            let mut metadata = FilesMetadata::default();
            if filled & 1 != 0 {
                metadata.files.extend(files.clone());
            }
            if filled & 2 != 0 {
                metadata.tar_file_sets.extend(tars.clone());
            }
            if filled & 4 != 0 {
                metadata.databases.extend(databases.clone());
            }
            let whole = String::from_utf8(go_json::to_vec_unescaped(&metadata)).unwrap();
            assert_eq!(written(&metadata), whole);
        }
    }

    #[test]
    fn pieces_out_of_order_are_refused() {
        let mut writer = FilesMetadataWriter::new(Vec::new());
        assert!(writer.add_tar_member("/").is_err());
        writer.begin_tar("part_001.tar").unwrap();
        assert!(writer.add_file_entry("\"/\":{}").is_err());
    }
}
