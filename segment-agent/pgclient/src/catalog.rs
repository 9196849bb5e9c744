//! Databases, relations, the state of archiving.

use crate::{Error, Server};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archiving {
    /// `off`, `on` or `always`.
    pub mode: String,
    /// `None` if empty or disabled.
    pub command: Option<String>,
    /// `archive_library` (from 15 on); it archives in place of the command.
    pub library: Option<String>,
}

impl Archiving {
    pub fn is_on(&self) -> bool {
        self.mode != "off" && (self.command.is_some() || self.library.is_some())
    }
}

/// A WAL file that could not be archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveFailure {
    pub wal_file_name: String,
    /// As the server prints it.
    pub time: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    pub oid: u32,
    pub name: String,
    /// oid of its default tablespace; 1663 is `base`.
    pub tablespace: u32,
}

/// A row of `pg_class`, once per parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    pub oid: u32,
    /// Number of its files; of a mapped catalog taken from its path; 0 without storage.
    pub file_node: u32,
    pub schema: String,
    pub name: String,
    /// `pg_class.relkind`.
    pub kind: char,
    /// oid of the table it inherits from or is a partition of.
    pub parent: Option<u32>,
    /// oid of the relation that it cannot be used without, and that needs it: of an index its table, of a TOAST table the table
    /// it serves, of a sequence the table with its column.
    pub owner: Option<u32>,
}

impl Server {
    pub async fn archiving(&self) -> Result<Archiving, Error> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty() && text != "(disabled)");
        Ok(Archiving {
            mode: self.setting("archive_mode").await?.unwrap_or_else(|| "off".to_owned()),
            command: given(self.setting("archive_command").await?),
            library: given(self.setting("archive_library").await?),
        })
    }

    /// The newest archive failure, if no success followed it.
    pub async fn last_archive_failure(&self) -> Result<Option<ArchiveFailure>, Error> {
        let sql = "SELECT last_failed_wal, last_failed_time::text FROM pg_catalog.pg_stat_archiver \
                   WHERE last_failed_wal IS NOT NULL \
                   AND (last_archived_time IS NULL OR last_failed_time > last_archived_time)";
        let rows = self.rows("asking for archive failures", sql).await?;
        Ok(rows.into_iter().next().map(|row| {
            let mut columns = row.into_iter().map(Option::unwrap_or_default);
            let mut next = || columns.next().unwrap_or_default();
            ArchiveFailure { wal_file_name: next(), time: next() }
        }))
    }

    /// The WAL file that was archived last.
    pub async fn last_archived(&self) -> Result<Option<String>, Error> {
        let sql = "SELECT last_archived_wal FROM pg_catalog.pg_stat_archiver";
        self.value("asking for the last archived WAL file", sql).await
    }

    /// Databases that take connections.
    pub async fn databases(&self) -> Result<Vec<Database>, Error> {
        let what = "listing the databases";
        let sql = "SELECT oid, datname, dattablespace FROM pg_catalog.pg_database WHERE datallowconn ORDER BY oid";
        let rows = self.rows(what, sql).await?.into_iter().map(|row| {
            let mut columns = row.into_iter();
            let mut next = || columns.next().flatten();
            Ok(Database {
                oid: self.parsed(what, next())?,
                name: self.parsed(what, next())?,
                tablespace: self.parsed(what, next())?,
            })
        });
        rows.collect()
    }

    /// All relations of the connected database, also those without storage.
    pub async fn relations(&self) -> Result<Vec<Relation>, Error> {
        let what = "listing the relations";
        // The path is asked for mapped catalogs only: for millions of relations it would fill the server's caches.
        let sql = "SELECT c.oid, c.relfilenode, \
                   CASE WHEN c.relfilenode = 0 THEN pg_catalog.pg_relation_filepath(c.oid) END, \
                   n.nspname, c.relname, c.relkind, i.inhparent, coalesce(x.indrelid, t.oid, d.refobjid) \
                   FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                   LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid \
                   LEFT JOIN pg_catalog.pg_index x ON x.indexrelid = c.oid \
                   LEFT JOIN pg_catalog.pg_class t ON t.reltoastrelid = c.oid AND c.relkind = 't' \
                   LEFT JOIN pg_catalog.pg_depend d ON d.objid = c.oid AND c.relkind = 'S' \
                   AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objsubid = 0 \
                   AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i') \
                   ORDER BY c.oid";
        let rows = self.rows(what, sql).await?.into_iter().map(|row| {
            let mut columns = row.into_iter();
            let mut next = || columns.next().flatten();
            let oid = self.parsed(what, next())?;
            let file_node: u32 = self.parsed(what, next())?;
            let mapped = next().and_then(|path| path.rsplit('/').next()?.parse().ok());
            Ok(Relation {
                oid,
                file_node: mapped.unwrap_or(file_node),
                schema: self.parsed(what, next())?,
                name: self.parsed(what, next())?,
                kind: self.parsed(what, next())?,
                parent: next().map(|parent| self.parsed(what, Some(parent))).transpose()?,
                owner: next().map(|owner| self.parsed(what, Some(owner))).transpose()?,
            })
        });
        rows.collect()
    }
}
