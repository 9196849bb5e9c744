//! Names of databases and tables, kept with the backup so that a partial restore can find their files.

use std::collections::BTreeMap;

use formats::files::{Database, DatabasesByNames, Table};
use pgclient::{ConnectOptions, Relation, Server};

use crate::monitor::Monitor;

/// Asks every database of the server. One that cannot be asked is left out with a warning: a full restore does not need it.
pub async fn collect(connect: &ConnectOptions, server: &Server, monitor: &Monitor) -> DatabasesByNames {
    let databases = match server.databases().await {
        Ok(databases) => databases,
        Err(error) => {
            monitor.warn(format!(
                "the names of the databases are not stored, so no partial restore of this backup: {error}"
            ));
            return DatabasesByNames::new();
        }
    };
    let mut names = DatabasesByNames::new();
    for database in databases {
        let options = connect.clone().with_database(&database.name);
        let relations = match Server::connect_segment(&options).await {
            Ok(session) => session.relations().await,
            Err(error) => Err(error),
        };
        match relations {
            Ok(relations) => {
                names.insert(database.name, Database { oid: database.oid, tables: tables(&relations) });
            }
            Err(error) => {
                monitor.warn(format!("the tables of database {} are not stored by name: {error}", database.name))
            }
        }
    }
    names
}

/// `schema.name` to its file, with all descendants of partitioned and inherited tables below their roots.
fn tables(relations: &[Relation]) -> BTreeMap<String, Table> {
    let by_oid: BTreeMap<u32, &Relation> = relations.iter().map(|relation| (relation.oid, relation)).collect();
    let mut tables = BTreeMap::new();
    for relation in relations.iter().filter(|relation| relation.parent.is_none()) {
        tables.insert(full_name(relation), table(relation));
    }
    for relation in relations.iter().filter(|relation| relation.parent.is_some()) {
        let root = root_of(relation, &by_oid);
        let entry = tables.entry(full_name(root)).or_insert_with(|| table(root));
        entry.sub_tables.insert(full_name(relation), table(relation));
    }
    tables
}

/// The topmost ancestor. A cycle, which a catalog never has, ends the climb.
fn root_of<'a>(relation: &'a Relation, by_oid: &BTreeMap<u32, &'a Relation>) -> &'a Relation {
    let mut current = relation;
    for _ in 0..by_oid.len() {
        match current.parent.and_then(|oid| by_oid.get(&oid)) {
            Some(parent) => current = parent,
            None => break,
        }
    }
    current
}

fn full_name(relation: &Relation) -> String {
    format!("{}.{}", relation.schema, relation.name)
}

fn table(relation: &Relation) -> Table {
    Table { oid: relation.oid, relfilenode: relation.file_node, sub_tables: BTreeMap::new() }
}
