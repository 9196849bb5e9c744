//! Append-optimized and PAX tables of the stand-in: real tables with the right access method, whose files and catalog rows
//! are written by the test. PostgreSQL keeps its own, empty file of each and leaves the others alone.

use std::io::{Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::{Server, User, sql_in};

/// How the rows are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AoKind {
    Row,
    Column,
}

/// One append-optimized table of one server.
#[derive(Clone, Debug)]
pub struct AoTable {
    database: String,
    /// Quoted as SQL needs it, with the schema.
    pub name: String,
    /// The relation that lists its segment files.
    segments: String,
}

impl AoTable {
    /// `name` as SQL takes it. There are no segment files yet.
    pub fn create(server: &Server, database: &str, name: &str, kind: AoKind) -> AoTable {
        let (method, prefix) = match kind {
            AoKind::Row => ("ao_row", "pg_aoseg"),
            AoKind::Column => ("ao_column", "pg_aocsseg"),
        };
        sql_in(server, database, &format!("create table {name}(a int) using {method}"));
        // Not the table's own oid: the name keeps that of the time when it was made.
        let oid: u32 = sql_in(server, database, &format!("select '{name}'::regclass::oid")).parse().unwrap();
        let segments = format!("pg_aoseg.{prefix}_{}", oid + 1_000_000);
        let columnstore = kind == AoKind::Column;
        sql_in(
            server,
            database,
            &format!(
                "set allow_system_table_mods = on; \
                 create table {segments}(segno int primary key, eof bigint, modcount bigint); \
                 insert into pg_catalog.pg_appendonly(relid, columnstore, segrelid) \
                 values ({oid}, {columnstore}, '{segments}'::regclass)"
            ),
        );
        AoTable { database: database.to_string(), name: name.to_string(), segments }
    }

    /// File of a segment number (of a column: 128 times its number, plus the segment number). It changes with TRUNCATE.
    pub fn file(&self, server: &Server, segment: u32) -> PathBuf {
        let question = format!("select pg_relation_filepath('{}')", self.name);
        let base = sql_in(server, &self.database, &question);
        let suffix = if segment == 0 { String::new() } else { format!(".{segment}") };
        server.data_dir.join(base + &suffix)
    }

    /// What the catalog says: logical end and number of changes.
    pub fn row(&self, server: &Server, segment: u32) -> (u64, i64) {
        let question = format!("select eof, modcount from {} where segno = {segment}", self.segments);
        let row = sql_in(server, &self.database, &question);
        let (eof, changes) = row.split_once('|').unwrap_or(("0", "0"));
        (eof.parse().unwrap(), changes.parse().unwrap())
    }

    pub fn set_row(&self, server: &Server, segment: u32, eof: u64, changes: i64) {
        let upsert = format!(
            "insert into {} values ({segment}, {eof}, {changes}) \
             on conflict (segno) do update set eof = excluded.eof, modcount = excluded.modcount",
            self.segments
        );
        sql_in(server, &self.database, &upsert);
    }

    /// INSERT: writes behind the logical end, which moves.
    pub fn append(&self, server: &Server, segment: u32, content: &[u8]) {
        let (eof, changes) = self.row(server, segment);
        self.write(server, segment, eof, content);
        self.set_row(server, segment, eof + content.len() as u64, changes + 1);
    }

    /// An INSERT that is rolled back, or not committed yet: the logical end stays.
    pub fn append_uncommitted(&self, server: &Server, segment: u32, content: &[u8]) {
        let (eof, changes) = self.row(server, segment);
        // The server lists a segment file before its first row is committed.
        self.set_row(server, segment, eof, changes);
        self.write(server, segment, eof, content);
    }

    /// DELETE: the file stays as it is.
    pub fn delete(&self, server: &Server, segment: u32) {
        let (eof, changes) = self.row(server, segment);
        self.set_row(server, segment, eof, changes + 1);
    }

    /// VACUUM, or a file number that is used again: other content, and whatever the catalog shall say of it.
    pub fn rewrite(&self, server: &Server, segment: u32, content: &[u8], changes: i64) {
        User::get().write(&self.file(server, segment), content, 0o600);
        self.set_row(server, segment, content.len() as u64, changes);
    }

    /// TRUNCATE: another file number, and no segment files.
    pub fn truncate(&self, server: &Server) {
        sql_in(server, &self.database, &format!("truncate {}; delete from {}", self.name, self.segments));
    }

    pub fn drop(self, server: &Server) {
        let AoTable { database, name, segments } = self;
        sql_in(
            server,
            &database,
            &format!(
                "set allow_system_table_mods = on; \
                 delete from pg_catalog.pg_appendonly where relid = '{name}'::regclass; \
                 drop table {name}; drop table {segments}"
            ),
        );
    }

    fn write(&self, server: &Server, segment: u32, at: u64, content: &[u8]) {
        let path = self.file(server, segment);
        if !path.exists() {
            User::get().write(&path, b"", 0o600);
        }
        let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.seek(std::io::SeekFrom::Start(at)).unwrap();
        file.write_all(content).unwrap();
    }
}

/// One PAX table of one server of Cloudberry.
#[derive(Clone, Debug)]
pub struct PaxTable {
    database: String,
    pub name: String,
    blocks: String,
}

impl PaxTable {
    /// `name` as SQL takes it. There are no blocks yet.
    pub fn create(server: &Server, database: &str, name: &str) -> PaxTable {
        sql_in(server, database, &format!("create table {name}(a int) using pax"));
        let oid = sql_in(server, database, &format!("select '{name}'::regclass::oid"));
        let blocks = format!("pg_ext_aux.pg_pax_blocks_{oid}");
        sql_in(
            server,
            database,
            &format!(
                "create table {blocks}(ptblockname int, ptvisimapname text, ptexistexttoast bool); \
                 insert into pg_ext_aux.pg_pax_tables values ({oid}, '{blocks}'::regclass)"
            ),
        );
        let table = PaxTable { database: database.to_string(), name: name.to_string(), blocks };
        User::get().make_dir(&table.folder(server));
        std::fs::set_permissions(table.folder(server), std::fs::Permissions::from_mode(0o700)).unwrap();
        table
    }

    /// Where its files lie.
    pub fn folder(&self, server: &Server) -> PathBuf {
        let question = format!("select pg_relation_filepath('{}') || '_pax'", self.name);
        server.data_dir.join(sql_in(server, &self.database, &question))
    }

    /// Adds a block: its data, and a file of large values where there are any.
    pub fn add_block(&self, server: &Server, block: u32, data: &[u8], toast: Option<&[u8]>) {
        User::get().write(&self.folder(server).join(block.to_string()), data, 0o600);
        if let Some(toast) = toast {
            User::get().write(&self.folder(server).join(format!("{block}.toast")), toast, 0o600);
        }
        let insert = format!("insert into {} values ({block}, null, {})", self.blocks, toast.is_some());
        sql_in(server, &self.database, &insert);
    }

    /// DELETE: a map of the rows that are left, in a file of its own.
    pub fn set_visimap(&self, server: &Server, block: u32, name: &str, content: &[u8]) {
        User::get().write(&self.folder(server).join(name), content, 0o600);
        let update = format!("update {} set ptvisimapname = '{name}' where ptblockname = {block}", self.blocks);
        sql_in(server, &self.database, &update);
    }
}
