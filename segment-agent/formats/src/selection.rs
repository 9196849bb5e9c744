//! `--restore-only`: which databases and tables a partial restore brings back. Pure.
//!
//! A list of `db`, `db/table` (of the schema `public`), `db/schema.table` and `db/schema/table`, divided by commas. `*` stands
//! for any characters; everything else is meant literally. Double quotes are dropped wherever they stand, blanks count.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::files::{DatabasesByNames, Table};

/// Objects with smaller ids belong to the system (access/transam.h, FirstNormalObjectId). Always restored.
pub const FIRST_USER_OID: u32 = 16384;

/// Schemas of tables that belong to other tables (append-optimized, PAX) and cannot be told apart by name: always restored.
const AUXILIARY_SCHEMAS: [&str; 2] = ["pg_aoseg.", "pg_ext_aux."];

/// Most near names that a message lists.
const NEAR_NAMES: usize = 3;

/// One item of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selector {
    /// May hold `*`.
    pub database: String,
    /// `schema.table`, may hold `*`; `None` is the whole database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
}

/// Text that is no list of names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{item:?} in --restore-only names nothing: {why}")]
pub struct SelectorError {
    pub item: String,
    pub why: &'static str,
}

/// An item that nothing in the backup matches.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{selector} of --restore-only matches nothing in the backup{}", near_note(.near))]
pub struct NoMatch {
    pub selector: Selector,
    /// Names that it may have meant, as they would be written in the list.
    pub near: Vec<String>,
}

impl Selector {
    /// Reads a list. Commas divide its items, also where they stand between quotes.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, SelectorError> {
        text.split(',').map(|item| Self::parse(&item.replace('"', ""))).collect()
    }

    fn parse(item: &str) -> Result<Self, SelectorError> {
        let fail = |why| SelectorError { item: item.to_owned(), why };
        let parts: Vec<&str> = item.split('/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(fail("a name is empty"));
        }
        let (database, table) = match parts.as_slice() {
            [database] => (*database, None),
            [database, table] if table.contains('.') => (*database, Some((*table).to_owned())),
            [database, table] => (*database, Some(format!("public.{table}"))),
            [database, schema, table] => (*database, Some(format!("{schema}.{table}"))),
            _ => return Err(fail("write db, db/table, db/schema.table or db/schema/table")),
        };
        Ok(Self { database: database.to_owned(), table })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.table {
            Some(table) => write!(f, "{:?}", format!("{}/{table}", self.database)),
            None => write!(f, "{:?}", self.database),
        }
    }
}

/// The files that a partial restore brings back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// File numbers to keep, by the oid of the database. Databases that are not among the keys lose all relations.
    keep: HashMap<u32, HashSet<u32>>,
    /// Tables that were chosen by name, as `db/schema.table`.
    pub tables: Vec<String>,
}

impl Selection {
    /// Looks the items up among the names that were stored with a backup. Every item must match something.
    pub fn resolve(selectors: &[Selector], databases: &DatabasesByNames) -> Result<Self, NoMatch> {
        let mut selection = Self::default();
        for database in databases.values() {
            let keep = selection.keep.entry(database.oid).or_default();
            let is_system = |name: &str, table: &Table| {
                table.oid < FIRST_USER_OID || AUXILIARY_SCHEMAS.iter().any(|schema| name.starts_with(schema))
            };
            visit(&database.tables, &mut |name, table| {
                if is_system(name, table) {
                    keep.insert(table.relfilenode);
                }
            });
        }
        for selector in selectors {
            if !selection.add(selector, databases) {
                let near = near_names(selector, databases);
                return Err(NoMatch { selector: selector.clone(), near });
            }
        }
        Ok(selection)
    }

    fn add(&mut self, selector: &Selector, databases: &DatabasesByNames) -> bool {
        let mut found = false;
        for (name, database) in databases.iter().filter(|(name, _)| matches(&selector.database, name)) {
            let keep = self.keep.entry(database.oid).or_default();
            let Some(pattern) = &selector.table else {
                visit(&database.tables, &mut |_, table| keep.extend([table.relfilenode]));
                found = true;
                continue;
            };
            let mut toast_of = HashSet::new();
            visit(&database.tables, &mut |table_name, table| {
                if matches(pattern, table_name) {
                    found = true;
                    self.tables.push(format!("{name}/{table_name}"));
                    take(table, keep, &mut toast_of);
                }
            });
            // Only by its name can the TOAST of a table be told in backups that do not record what belongs to what.
            for (toast_name, table) in &database.tables {
                if toast_owner(toast_name).is_some_and(|owner| toast_of.contains(&owner)) {
                    keep.insert(table.relfilenode);
                }
            }
        }
        self.tables.sort();
        self.tables.dedup();
        found
    }

    /// Whether a file of the data directory is restored. `path` is relative to it, with or without a leading slash.
    pub fn keeps(&self, path: &str) -> bool {
        let Some((database, file_number)) = relation_of(path) else { return true };
        database < FIRST_USER_OID || self.keep.get(&database).is_some_and(|keep| keep.contains(&file_number))
    }
}

/// A table with all that hangs on it; the oids are those whose TOAST belongs to it too.
fn take(table: &Table, keep: &mut HashSet<u32>, oids: &mut HashSet<u32>) {
    keep.insert(table.relfilenode);
    oids.insert(table.oid);
    table.sub_tables.values().for_each(|sub| take(sub, keep, oids));
}

/// Every relation, those below others included.
fn visit<'a>(tables: &'a BTreeMap<String, Table>, each: &mut impl FnMut(&'a str, &'a Table)) {
    for (name, table) in tables {
        each(name, table);
        visit(&table.sub_tables, each);
    }
}

/// Oid of the table whose TOAST table, or whose index of it, has this name.
fn toast_owner(name: &str) -> Option<u32> {
    name.strip_prefix("pg_toast.pg_toast_")?.trim_end_matches("_index").parse().ok()
}

/// Database and file number of a relation's file; `None` for files that are no relation's or lie in no database. The directory
/// of a PAX table counts as its file.
fn relation_of(path: &str) -> Option<(u32, u32)> {
    let mut parts = path.trim_start_matches('/').split('/');
    let database = match parts.next()? {
        "base" => parts.next()?,
        "pg_tblspc" => parts.nth(2)?,
        _ => return None,
    };
    let leaf = parts.next()?;
    let digits = leaf.split(['.', '_']).next().filter(|digits| !digits.is_empty())?;
    let file_number = digits.parse().ok().filter(|number| *number != 0)?;
    Some((database.parse().ok()?, file_number))
}

/// `*` stands for any characters, also none.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(mut piece) = pieces.next() else { return rest.is_empty() };
    for next in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
        piece = next;
    }
    rest.ends_with(piece)
}

/// Names like the one that was not found: the same table in another schema or database, or nearly the same spelling.
fn near_names(selector: &Selector, databases: &DatabasesByNames) -> Vec<String> {
    let mut near = Vec::new();
    let text =
        selector.table.as_ref().map_or(selector.database.clone(), |table| format!("{}/{table}", selector.database));
    let mut consider = |name: String, is_user: bool| {
        let far = distance(&text.to_lowercase(), &name.to_lowercase());
        let same_end = name.rsplit(['/', '.']).next() == text.rsplit(['/', '.']).next();
        if is_user && (far <= (text.chars().count() / 3).max(2) || same_end) {
            near.push((far, name));
        }
    };
    for (name, database) in databases {
        match &selector.table {
            None => consider(name.clone(), true),
            Some(_) => visit(&database.tables, &mut |table_name, table| {
                let is_user = table.oid >= FIRST_USER_OID && !table_name.starts_with("pg_");
                consider(format!("{name}/{table_name}"), is_user);
            }),
        }
    }
    near.sort();
    near.dedup();
    near.into_iter().take(NEAR_NAMES).map(|(_, name)| name).collect()
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

fn near_note(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; near names: {}", near.join(", ")) }
}

#[cfg(test)]
#[path = "selection_tests.rs"]
mod tests;
