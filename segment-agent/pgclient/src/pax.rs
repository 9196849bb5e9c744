//! Which files of a database belong to PAX tables (Cloudberry), and what the catalog says of them.

use crate::vanishing::gather;
use crate::{Database, Error, Row, Server};

/// What a file of a PAX table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaxPart {
    Data,
    Toast,
    Visimap,
}

/// One file in the directory `<relfilenode>_pax` of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaxTableFile {
    /// oid of the tablespace, the database's default one where the table names none.
    pub tablespace: u32,
    pub database: u32,
    pub relfilenode: u32,
    /// Name in the directory.
    pub name: String,
    pub part: PaxPart,
    pub block: i64,
    /// MD5 of the quoted `schema.table`.
    pub name_md5: u128,
}

const WHAT: &str = "listing the files of PAX tables";

/// Tables asked about at once: each adds a branch to the query, and a parser's depth has limits.
const TABLES_AT_ONCE: usize = 200;

/// A PAX table with the relation that lists its blocks.
struct PaxTable {
    oid: u32,
    tablespace: u32,
    relfilenode: u32,
    name_md5: u128,
    /// Quoted, with its schema.
    blocks: String,
}

impl Server {
    /// The files of all permanent PAX tables of the connected database, which is `database`. A table that is dropped
    /// meanwhile is left out.
    pub async fn pax_files(&self, database: &Database) -> Result<Vec<PaxTableFile>, Error> {
        let sql = format!("SELECT 1 FROM pg_catalog.pg_class c {ACCESS_METHOD} LIMIT 1");
        if self.rows(WHAT, &sql).await?.is_empty() {
            return Ok(Vec::new());
        }
        let tables = self.pax_tables().await?;
        let by_oid = |oid: u32| tables.binary_search_by_key(&oid, |table| table.oid).ok().and_then(|at| tables.get(at));
        let query = |oids: &[u32]| {
            let branches = oids.iter().filter_map(|oid| by_oid(*oid)).map(|table| {
                format!("SELECT {}, ptblockname, ptvisimapname, ptexistexttoast FROM {}", table.oid, table.blocks)
            });
            branches.collect::<Vec<_>>().join(" UNION ALL ")
        };
        let mut files = Vec::new();
        let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
        for some in oids.chunks(TABLES_AT_ONCE) {
            for block in gather(self, WHAT, some, query, |row| self.pax_block(row)).await? {
                if let Some(table) = by_oid(block.oid) {
                    files.extend(block.files(table, database));
                }
            }
        }
        Ok(files)
    }

    /// By oid, ascending.
    async fn pax_tables(&self) -> Result<Vec<PaxTable>, Error> {
        let sql = format!(
            "SELECT c.oid, c.reltablespace, c.relfilenode, \
             pg_catalog.md5(pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)), \
             pg_catalog.quote_ident(bn.nspname) || '.' || pg_catalog.quote_ident(b.relname) \
             FROM pg_catalog.pg_class c {ACCESS_METHOD} JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             JOIN pg_ext_aux.pg_pax_tables t ON t.relid = c.oid JOIN pg_catalog.pg_class b ON b.oid = t.auxrelid \
             JOIN pg_catalog.pg_namespace bn ON bn.oid = b.relnamespace ORDER BY c.oid"
        );
        let rows = self.rows("listing the PAX tables", &sql).await?.into_iter().map(|row| {
            let mut columns = row.into_iter();
            let mut next = || columns.next().flatten();
            Ok(PaxTable {
                oid: self.parsed(WHAT, next())?,
                tablespace: self.parsed(WHAT, next())?,
                relfilenode: self.parsed(WHAT, next())?,
                name_md5: self.md5(WHAT, next())?,
                blocks: self.parsed(WHAT, next())?,
            })
        });
        rows.collect()
    }

    fn pax_block(&self, row: Row) -> Result<PaxBlock, Error> {
        let mut columns = row.into_iter();
        let mut next = || columns.next().flatten();
        Ok(PaxBlock {
            oid: self.parsed(WHAT, next())?,
            number: self.parsed(WHAT, next())?,
            visimap: next().filter(|name| !name.is_empty()),
            has_toast: self.truth(WHAT, next())?,
        })
    }
}

/// Joins the access method, for permanent tables.
const ACCESS_METHOD: &str =
    "JOIN pg_catalog.pg_am m ON m.oid = c.relam AND m.amname = 'pax' AND c.relpersistence = 'p'";

struct PaxBlock {
    oid: u32,
    number: i64,
    visimap: Option<String>,
    has_toast: bool,
}

impl PaxBlock {
    fn files(self, table: &PaxTable, database: &Database) -> Vec<PaxTableFile> {
        let file = |name: String, part: PaxPart| PaxTableFile {
            tablespace: if table.tablespace == 0 { database.tablespace } else { table.tablespace },
            database: database.oid,
            relfilenode: table.relfilenode,
            name,
            part,
            block: self.number,
            name_md5: table.name_md5,
        };
        let data = file(self.number.to_string(), PaxPart::Data);
        let toast = self.has_toast.then(|| file(format!("{}.toast", self.number), PaxPart::Toast));
        let visimap = self.visimap.clone().map(|name| file(name, PaxPart::Visimap));
        [Some(data), toast, visimap].into_iter().flatten().collect()
    }
}
