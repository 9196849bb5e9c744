//! Names of databases and tables, kept with the backup so that a partial restore can find their files.

use std::collections::BTreeMap;

use formats::files::{Database, DatabasesByNames, Table};
use formats::selection::FIRST_USER_OID;
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

/// `schema.name` to its file. Below a root stand all its partitions and heirs, as in WAL-G, and besides what its tables need:
/// indexes, TOAST tables, sequences of columns. A partial restore brings back what stands below the table that it names.
fn tables(relations: &[Relation]) -> BTreeMap<String, Table> {
    let by_oid: BTreeMap<u32, &Relation> = relations.iter().map(|relation| (relation.oid, relation)).collect();
    let mut belongings = BTreeMap::<u32, Vec<&Relation>>::new();
    for relation in relations.iter().filter(|relation| relation.oid >= FIRST_USER_OID) {
        if let Some(owner) = relation.owner {
            belongings.entry(owner).or_default().push(relation);
        }
    }
    let mut tables = BTreeMap::new();
    for relation in relations.iter().filter(|relation| relation.parent.is_none()) {
        tables.insert(full_name(relation), table(relation, &belongings));
    }
    for relation in relations.iter().filter(|relation| relation.parent.is_some()) {
        let root = root_of(relation, &by_oid);
        let entry = tables.entry(full_name(root)).or_insert_with(|| table(root, &belongings));
        let below = table(relation, &belongings);
        // Both beside the heir, where WAL-G looks, and below it, for a restore of the heir alone.
        entry.sub_tables.extend(below.sub_tables.clone());
        entry.sub_tables.insert(full_name(relation), below);
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

/// A relation with what belongs to it, and the indexes of its TOAST table.
fn table(relation: &Relation, belongings: &BTreeMap<u32, Vec<&Relation>>) -> Table {
    let of = |oid: u32| belongings.get(&oid).into_iter().flatten();
    let direct = of(relation.oid).flat_map(|own| std::iter::once(own).chain(of(own.oid)));
    let bare = |of: &Relation| Table { oid: of.oid, relfilenode: of.file_node, sub_tables: BTreeMap::new() };
    let sub_tables = direct.map(|own| (full_name(own), bare(own))).collect();
    Table { sub_tables, ..bare(relation) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relation(oid: u32, name: &str, kind: char, parent: Option<u32>, owner: Option<u32>) -> Relation {
        let schema = if name.starts_with("pg_toast") { "pg_toast" } else { "public" };
        Relation { oid, file_node: oid, schema: schema.to_owned(), name: name.to_owned(), kind, parent, owner }
    }

    #[test]
    fn what_belongs_to_a_table_stands_below_it() {
        let relations = [
            relation(16400, "t", 'r', None, None),
            relation(16401, "t_pkey", 'i', None, Some(16400)),
            relation(16402, "pg_toast_16400", 't', None, Some(16400)),
            relation(16403, "pg_toast_16400_index", 'i', None, Some(16402)),
            relation(16404, "t_a_seq", 'S', None, Some(16400)),
            relation(16410, "p", 'p', None, None),
            relation(16411, "p_idx", 'I', None, Some(16410)),
            relation(16412, "p_1", 'r', Some(16410), None),
            relation(16413, "p_1_idx", 'i', Some(16411), Some(16412)),
            relation(1259, "pg_class", 'r', None, None),
            relation(2662, "pg_class_oid_index", 'i', None, Some(1259)),
        ];
        let tables = tables(&relations);
        let below = |name: &str| tables[name].sub_tables.keys().map(String::as_str).collect::<Vec<_>>();
        let toast = ["pg_toast.pg_toast_16400", "pg_toast.pg_toast_16400_index"];
        assert_eq!(below("public.t"), [&toast[..], &["public.t_a_seq", "public.t_pkey"]].concat());
        assert_eq!(below("public.p"), ["public.p_1", "public.p_1_idx", "public.p_idx"]);
        assert_eq!(tables["public.p"].sub_tables["public.p_1"].sub_tables.len(), 1);
        assert!(below("public.pg_class").is_empty() && tables.contains_key("public.t_pkey"));
    }
}
