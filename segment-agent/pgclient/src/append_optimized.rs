//! Which files of a database belong to append-optimized tables, and what the catalog says of them.
//!
//! One query for all tables of a database. The rows of a table's segment files are asked for through the functions of
//! gp_toolkit, which follow `pg_appendonly.segrelid`: the names of those relations keep an old table oid.
//!
//! Ask in a session in utility mode: the functions of Greenplum 7 run on all segments when a coordinator is asked.

use crate::vanishing::gather;
use crate::{Database, Error, Row, Server};

/// How an append-optimized table is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AoKind {
    Row,
    Column,
}

/// One segment file of an append-optimized table, as its catalog describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AoSegmentFile {
    /// oid of the tablespace, the database's default one where the table names none.
    pub tablespace: u32,
    pub database: u32,
    pub relfilenode: u32,
    /// Suffix of the file; 0 has none. Of a column: 128 times its number, plus the segment number.
    pub segment_number: u32,
    pub kind: AoKind,
    /// Bytes up to the logical end.
    pub eof: i64,
    /// Number of changes.
    pub mod_count: i64,
    /// MD5 of the quoted `schema.table`.
    pub name_md5: u128,
}

const WHAT: &str = "listing the files of append-optimized tables";

impl Server {
    /// The segment files of all permanent append-optimized tables of the connected database, which is `database`. A table
    /// that is dropped meanwhile is left out.
    pub async fn append_optimized_files(&self, database: &Database) -> Result<Vec<AoSegmentFile>, Error> {
        let tables = self.append_optimized_tables().await?;
        gather(self, WHAT, &tables, |oids| self.segment_files_query(oids), |row| self.segment_file(database, row)).await
    }

    /// Their oids, ascending. Without any of them nothing more is asked, so a database needs no gp_toolkit then.
    async fn append_optimized_tables(&self) -> Result<Vec<u32>, Error> {
        let Storage { kind, tables } = self.storage();
        let sql = format!(
            "SELECT c.oid FROM {tables} WHERE {kind} IS NOT NULL AND c.relpersistence = 'p' AND a.segrelid <> 0 ORDER BY 1"
        );
        let rows = self.rows("listing the append-optimized tables", &sql).await?;
        rows.into_iter().map(|row| self.parsed(WHAT, row.into_iter().next().flatten())).collect()
    }

    fn segment_files_query(&self, oids: &[u32]) -> String {
        let Storage { kind, tables } = self.storage();
        let (first, last) = (oids.first().copied().unwrap_or(1), oids.last().copied().unwrap_or(0));
        let half = |letter: char, number: &str, function: &str| {
            format!(
                "SELECT c.oid, c.reltablespace, c.relfilenode, s.{number}, '{letter}', s.eof, s.modcount, \
                 pg_catalog.md5(pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)) \
                 FROM {tables} JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 CROSS JOIN LATERAL gp_toolkit.{function}(c.oid) s \
                 WHERE {kind} = '{letter}' AND c.relpersistence = 'p' AND a.segrelid <> 0 \
                 AND c.oid BETWEEN {first} AND {last}"
            )
        };
        format!("{} UNION ALL {}", half('a', "segno", "__gp_aoseg"), half('c', "physical_segno", "__gp_aocsseg"))
    }

    fn segment_file(&self, database: &Database, row: Row) -> Result<AoSegmentFile, Error> {
        let mut columns = row.into_iter().skip(1);
        let mut next = || columns.next().flatten();
        let tablespace = self.parsed(WHAT, next())?;
        Ok(AoSegmentFile {
            tablespace: if tablespace == 0 { database.tablespace } else { tablespace },
            database: database.oid,
            relfilenode: self.parsed(WHAT, next())?,
            segment_number: self.parsed(WHAT, next())?,
            kind: if next().as_deref() == Some("a") { AoKind::Row } else { AoKind::Column },
            eof: self.parsed(WHAT, next())?,
            mod_count: self.parsed(WHAT, next())?,
            name_md5: self.md5(WHAT, next())?,
        })
    }

    pub(crate) fn md5(&self, what: &str, text: Option<String>) -> Result<u128, Error> {
        let text: String = self.parsed(what, text)?;
        u128::from_str_radix(&text, 16).map_err(|_| self.unexpected(what, format!("{text:?} is no MD5")))
    }

    /// Until Greenplum 6 a letter in `pg_class` says how a table is stored, later its access method.
    fn storage(&self) -> Storage {
        const JOINED: &str = "pg_catalog.pg_class c JOIN pg_catalog.pg_appendonly a ON a.relid = c.oid";
        if self.version_num() < 120_000 {
            return Storage {
                kind: "CASE WHEN c.relstorage IN ('a', 'c') THEN c.relstorage::text END",
                tables: JOINED.to_owned(),
            };
        }
        Storage {
            kind: "CASE m.amname WHEN 'ao_row' THEN 'a' WHEN 'ao_column' THEN 'c' END",
            tables: format!("{JOINED} JOIN pg_catalog.pg_am m ON m.oid = c.relam"),
        }
    }
}

/// Pieces of SQL.
struct Storage {
    /// `a` for rows, `c` for columns, NULL for all else.
    kind: &'static str,
    tables: String,
}
