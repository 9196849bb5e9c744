//! The files of append-optimized and PAX tables that a server knows of, to be looked up by the path of a walked file.

use std::collections::{HashMap, HashSet};

use formats::ao::StorageType;
use formats::pax::PaxKind;
use pgclient::{
    AoKind, AoSegmentFile, ConnectOptions, Database, PaxPart, PaxTableFile, Server, UtilityMode, greenplum,
};
use pgdata::{Fork, RelationPath};

use crate::error::{Error, Result};

/// Where a segment file of an append-optimized table lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RelationKey {
    pub tablespace: u32,
    pub database: u32,
    pub relfilenode: u32,
    pub segment_number: u32,
}

/// What the catalog says of it. Noted with the backup, never trusted: contents decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AoFacts {
    pub storage_type: StorageType,
    pub eof: i64,
    pub mod_count: i64,
    pub name_md5: u128,
}

/// Where a file of a PAX table lies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PaxPlace {
    pub tablespace: u32,
    pub database: u32,
    pub relfilenode: u32,
    /// Name in the directory `<relfilenode>_pax`.
    pub name: Box<str>,
}

/// What the catalog says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaxFacts {
    pub kind: PaxKind,
    pub block: i64,
    pub name_md5: u128,
}

/// All of one server.
#[derive(Clone, Debug, Default)]
pub struct Found {
    pub ao: HashMap<RelationKey, AoFacts>,
    pub pax: HashMap<PaxPlace, PaxFacts>,
    /// Tablespace, database and file number of every append-optimized table that has files.
    ao_relations: HashSet<(u32, u32, u32)>,
}

impl Found {
    /// Asks every database that takes connections; one that cannot be asked is an error, for its files would silently be
    /// stored anew with every backup. Servers that are no Greenplum have none.
    pub async fn ask(connect: &ConnectOptions, server: &Server) -> Result<Self> {
        let mut found = Self::default();
        let Some(version) = greenplum::version_if_any(server).await? else { return Ok(found) };
        let utility = if server.version_num() < 120_000 { UtilityMode::GpSessionRole } else { UtilityMode::GpRole };
        for database in server.databases().await? {
            let options = connect.clone().with_database(&database.name).with_utility_mode(utility);
            match found.add_database(&options, &database, version.flavor).await {
                Ok(()) => {}
                // Dropped meanwhile.
                Err(_) if !server.databases().await?.contains(&database) => {}
                Err(error) => return Err(unlisted(&database, &error)),
            }
        }
        Ok(found)
    }

    async fn add_database(
        &mut self,
        options: &ConnectOptions,
        database: &Database,
        flavor: greenplum::Flavor,
    ) -> Result<(), pgclient::Error> {
        let session = Server::connect_segment(options).await?;
        for file in session.append_optimized_files(database).await? {
            self.add(&file);
        }
        if flavor == greenplum::Flavor::Cloudberry {
            session.pax_files(database).await?.into_iter().for_each(|file| self.add_pax(file));
        }
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.ao.is_empty() && self.pax.is_empty()
    }

    pub fn add(&mut self, file: &AoSegmentFile) {
        let AoSegmentFile { tablespace, database, relfilenode, segment_number, .. } = *file;
        let storage_type = match file.kind {
            AoKind::Row => StorageType::ROW,
            AoKind::Column => StorageType::COLUMN,
        };
        let facts = AoFacts { storage_type, eof: file.eof, mod_count: file.mod_count, name_md5: file.name_md5 };
        self.ao.insert(RelationKey { tablespace, database, relfilenode, segment_number }, facts);
        self.ao_relations.insert((tablespace, database, relfilenode));
    }

    pub fn add_pax(&mut self, file: PaxTableFile) {
        let PaxTableFile { tablespace, database, relfilenode, name, part, block, name_md5 } = file;
        let kind = match part {
            PaxPart::Data => PaxKind::Data,
            PaxPart::Toast => PaxKind::Toast,
            PaxPart::Visimap => PaxKind::Visimap,
        };
        let place = PaxPlace { tablespace, database, relfilenode, name: name.into() };
        self.pax.insert(place, PaxFacts { kind, block, name_md5 });
    }

    /// The file at `name` (`/base/1/2.3`), if it belongs to an append-optimized table.
    pub fn ao_file(&self, name: &str) -> Option<(RelationKey, &AoFacts)> {
        if self.ao.is_empty() {
            return None;
        }
        let path = RelationPath::parse(name).filter(|path| path.file.fork == Fork::Main)?;
        let key = RelationKey {
            tablespace: path.tablespace,
            database: path.database,
            relfilenode: path.file.relfilenode,
            segment_number: path.file.segment_number,
        };
        self.ao.get(&key).map(|facts| (key, facts))
    }

    /// Whether the file at `name` belongs to an append-optimized table, also one that its catalog does not list (yet): what looks
    /// like a page in it is none.
    pub fn is_append_optimized(&self, name: &str) -> bool {
        let relation = |path: RelationPath| (path.tablespace, path.database, path.file.relfilenode);
        !self.ao_relations.is_empty()
            && RelationPath::parse(name).is_some_and(|path| self.ao_relations.contains(&relation(path)))
    }

    /// The file at `name` (`/base/1/2_pax/3.toast`), if a PAX table knows it.
    pub fn pax_file(&self, name: &str) -> Option<(PaxPlace, &PaxFacts)> {
        if self.pax.is_empty() {
            return None;
        }
        // The directory is named like a file of the relation, with an ending of its own.
        let (folder, leaf) = name.rsplit_once('/')?;
        let path = RelationPath::parse(folder.strip_suffix("_pax")?)?;
        let plain = path.file.fork == Fork::Main && path.file.segment_number == 0;
        let place = PaxPlace {
            tablespace: path.tablespace,
            database: path.database,
            relfilenode: path.file.relfilenode,
            name: leaf.into(),
        };
        let facts = self.pax.get(&place).filter(|_| plain)?;
        Some((place, facts))
    }
}

fn unlisted(database: &Database, error: &pgclient::Error) -> Error {
    let what = format!("the append-optimized tables of database {} cannot be listed: {error}", database.name);
    let remedy = "let the backup's user connect to every database and read its catalog; a database with such tables needs gp_toolkit";
    Error::refused(what, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walked_names_are_found() {
        let mut found = Found::default();
        let file = AoSegmentFile {
            tablespace: 1663,
            database: 5,
            relfilenode: 16390,
            segment_number: 129,
            kind: AoKind::Column,
            eof: 10,
            mod_count: 2,
            name_md5: 1,
        };
        found.add(&file);
        found.add(&AoSegmentFile { tablespace: 16500, segment_number: 0, kind: AoKind::Row, ..file });
        assert_eq!(found.ao_file("/base/5/16390.129").unwrap().1.storage_type, StorageType::COLUMN);
        assert_eq!(found.ao_file("/pg_tblspc/16500/GPDB_6_301908232/5/16390").unwrap().0.segment_number, 0);
        for other in ["/base/5/16390", "/base/5/16390.1", "/base/6/16390.129", "/base/5/16390_fsm.129", "/PG_VERSION"] {
            assert!(found.ao_file(other).is_none(), "{other}");
        }
        found.add_pax(PaxTableFile {
            tablespace: 1663,
            database: 5,
            relfilenode: 7,
            name: "1.toast".to_owned(),
            part: PaxPart::Toast,
            block: 1,
            name_md5: 1,
        });
        assert_eq!(found.pax_file("/base/5/7_pax/1.toast").unwrap().1.kind, PaxKind::Toast);
        for other in ["/base/5/7_pax/1", "/base/5/8_pax/1.toast", "/base/5/7/1.toast", "/1.toast", "1.toast"] {
            assert!(found.pax_file(other).is_none(), "{other}");
        }
    }
}
