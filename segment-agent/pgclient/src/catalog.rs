//! Databases, relations, the state of archiving.

use crate::{Error, Server};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archiving {
    /// `off`, `on` or `always`.
    pub mode: String,
    /// `None` if empty or disabled.
    pub command: Option<String>,
}

impl Archiving {
    pub fn is_on(&self) -> bool {
        self.mode != "off" && self.command.is_some()
    }
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
}

impl Server {
    pub async fn archiving(&self) -> Result<Archiving, Error> {
        todo!()
    }

    /// WAL file and time of the newest archive failure that no success followed.
    pub async fn last_archive_failure(&self) -> Result<Option<String>, Error> {
        todo!()
    }

    /// Databases that take connections.
    pub async fn databases(&self) -> Result<Vec<Database>, Error> {
        todo!()
    }

    /// All relations of the connected database.
    pub async fn relations(&self) -> Result<Vec<Relation>, Error> {
        todo!()
    }
}
