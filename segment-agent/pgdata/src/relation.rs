//! Paths of relation files inside a data directory, as they stand in tar members and file lists.

use std::fmt;

/// Object id of the tablespace `pg_default`, whose files lie under `base`.
const DEFAULT_TABLESPACE: u32 = 1663;
/// Object id of the tablespace `pg_global`, whose files lie under `global`.
const GLOBAL_TABLESPACE: u32 = 1664;

/// Which of the files of a relation (common/relpath.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fork {
    /// The data itself.
    Main,
    /// Free space map, `_fsm`.
    FreeSpace,
    /// Visibility map, `_vm`.
    Visibility,
    /// Empty image of an unlogged relation, `_init`.
    Init,
}

/// One file of a relation: `<relfilenode>[_<fork>][.<segment number>]`. Temporary relations (`t3_16384`) are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelationFile {
    pub relfilenode: u32,
    pub fork: Fork,
    /// Part of the relation, 0 for the file without a suffix. Heap: GiB number; append-optimized: segment file number.
    pub segment_number: u32,
}

/// Where a relation file lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelationPath {
    /// Object id of the tablespace: 1663 below `base`, 1664 below `global`.
    pub tablespace: u32,
    /// Object id of the database, 0 below `global`.
    pub database: u32,
    pub file: RelationFile,
}

impl RelationPath {
    /// Reads `/base/<db>/<file>`, `/global/<file>` or `/pg_tblspc/<tablespace>/<version>/<db>/<file>`, relative to the
    /// data directory, with or without the leading slash. `None` for every other path.
    pub fn parse(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        let (tablespace, database, file) = match parts.as_slice() {
            ["global", file] => (GLOBAL_TABLESPACE, 0, *file),
            ["base", database, file] => (DEFAULT_TABLESPACE, number(database)?, *file),
            ["pg_tblspc", tablespace, _version, database, file] => (number(tablespace)?, number(database)?, *file),
            _ => return None,
        };
        Some(Self { tablespace, database, file: RelationFile::parse(file)? })
    }
}

impl RelationFile {
    /// Reads a file name without its directory (storage/reinit.h, `parse_filename_for_nontemp_relation`).
    pub fn parse(name: &str) -> Option<Self> {
        let (stem, segment_number) = match name.split_once('.') {
            None => (name, 0),
            Some((stem, suffix)) => (stem, number(suffix).filter(|n| *n > 0)?),
        };
        let (relfilenode, fork) = match stem.split_once('_') {
            None => (stem, Fork::Main),
            Some((relfilenode, "fsm")) => (relfilenode, Fork::FreeSpace),
            Some((relfilenode, "vm")) => (relfilenode, Fork::Visibility),
            Some((relfilenode, "init")) => (relfilenode, Fork::Init),
            Some(_) => return None,
        };
        Some(Self { relfilenode: number(relfilenode)?, fork, segment_number })
    }
}

impl fmt::Display for RelationFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fork = match self.fork {
            Fork::Main => "",
            Fork::FreeSpace => "_fsm",
            Fork::Visibility => "_vm",
            Fork::Init => "_init",
        };
        write!(f, "{}{fork}", self.relfilenode)?;
        if self.segment_number > 0 {
            write!(f, ".{}", self.segment_number)?;
        }
        Ok(())
    }
}

/// A decimal number as PostgreSQL prints it: no sign, no leading zero but in `0` itself.
fn number(digits: &str) -> Option<u32> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && (digits.len() == 1 || !digits.starts_with('0'));
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn main_file(relfilenode: u32, segment_number: u32) -> RelationFile {
        RelationFile { relfilenode, fork: Fork::Main, segment_number }
    }

    #[test]
    fn three_places() {
        assert_eq!(
            RelationPath::parse("/base/16384/16390.129"),
            Some(RelationPath { tablespace: 1663, database: 16384, file: main_file(16390, 129) })
        );
        assert_eq!(
            RelationPath::parse("pg_tblspc/16500/GPDB_6_301908232/16384/16390"),
            Some(RelationPath { tablespace: 16500, database: 16384, file: main_file(16390, 0) })
        );
        let file = RelationFile { relfilenode: 1262, fork: Fork::Visibility, segment_number: 0 };
        assert_eq!(RelationPath::parse("/global/1262_vm"), Some(RelationPath { tablespace: 1664, database: 0, file }));
    }

    #[test]
    fn other_files_are_no_relations() {
        for path in [
            "",
            "/",
            "/base",
            "/base/1",
            "/base/1/PG_VERSION",
            "/base/1/pg_filenode.map",
            "/base/1/t3_16384",
            "/base/pgsql_tmp/pgsql_tmp1.0",
            "/base/1/16384.0",
            "/base/1/16384.01",
            "/base/1/16384_foo",
            "/base/1/99999999999",
            "/base/1/+1",
            "//base/1/1",
            "/global/pg_control",
            "/pg_xact/0000",
            "/base/1/1259_pax/5",
        ] {
            assert_eq!(RelationPath::parse(path), None, "{path:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn file_names_come_back(relfilenode: u32, segment_number: u32, which in 0usize..4) {
            let fork = [Fork::Main, Fork::FreeSpace, Fork::Visibility, Fork::Init][which];
            let file = RelationFile { relfilenode, fork, segment_number };
            proptest::prop_assert_eq!(RelationFile::parse(&file.to_string()), Some(file));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = RelationPath::parse(&text);
        }
    }
}
