//! `damson_005/rows/<backup>.json`: rows and sums of the tables at the time of a backup, to compare after a restore. Damson's
//! own; WAL-G ignores it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{BackupName, ContentId, Timestamp};

/// The tables of a backup that did not change while its restore point was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackupRows {
    pub backup: BackupName,
    /// When the second count ended.
    pub counted_at: Timestamp,
    pub segments: BTreeMap<ContentId, Vec<TableRows>>,
    /// Tables that changed, appeared or vanished between the two counts, on all segments together: nothing is known of these.
    pub changed_tables: u64,
}

/// One table on one segment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableRows {
    pub database: String,
    pub schema: String,
    pub table: String,
    pub rows: u64,
    /// Sum of a hash of every row's text, whatever the order of the rows.
    pub sum: String,
}

impl TableRows {
    /// What tells tables of a segment apart.
    pub fn name(&self) -> (&str, &str, &str) {
        (&self.database, &self.schema, &self.table)
    }
}

/// What differs between two counts of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference<'a> {
    Missing(&'a TableRows),
    Changed { expected: &'a TableRows, found: &'a TableRows },
}

/// The tables of `expected` that are not in `found` as they should be. Further tables of `found` do not matter: of those that
/// changed during the backup nothing was kept.
pub fn differences<'a>(expected: &'a [TableRows], found: &'a [TableRows]) -> Vec<Difference<'a>> {
    let by_name: BTreeMap<_, _> = found.iter().map(|table| (table.name(), table)).collect();
    let difference = |expected: &'a TableRows| match by_name.get(&expected.name()) {
        None => Some(Difference::Missing(expected)),
        Some(found) if *found != expected => Some(Difference::Changed { expected, found }),
        Some(_) => None,
    };
    expected.iter().filter_map(difference).collect()
}

/// The tables that stand in both counts with the same rows, and how many of the others there are.
pub fn unchanged(before: Vec<TableRows>, after: &[TableRows]) -> (Vec<TableRows>, u64) {
    let after: std::collections::BTreeSet<_> = after.iter().collect();
    let all = before.len().max(after.len());
    let kept: Vec<TableRows> = before.into_iter().filter(|table| after.contains(table)).collect();
    let changed = (all - kept.len()) as u64;
    (kept, changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go_json;

    fn table(name: &str, rows: u64, sum: &str) -> TableRows {
        TableRows { database: "d".into(), schema: "public".into(), table: name.into(), rows, sum: sum.into() }
    }

    #[test]
    fn text_comes_back() {
        let rows = BackupRows {
            backup: BackupName::new("backup_20261121T082827Z").unwrap(),
            counted_at: "2026-11-21T09:00:00Z".parse().unwrap(),
            segments: BTreeMap::from([(ContentId(-1), vec![]), (ContentId(0), vec![table("t", 2, "-7")])]),
            changed_tables: 1,
        };
        let text = r#"{"backup":"backup_20261121T082827Z","counted_at":"2026-11-21T09:00:00Z","segments":{"-1":[],"0":[{"database":"d","schema":"public","table":"t","rows":2,"sum":"-7"}]},"changed_tables":1}"#;
        assert_eq!(String::from_utf8(go_json::to_vec(&rows)).unwrap(), text);
        assert_eq!(go_json::from_slice::<BackupRows>("x", text.as_bytes()).unwrap(), rows);
    }

    #[test]
    fn every_difference_is_found() {
        let expected = [table("a", 1, "1"), table("b", 1, "1"), table("c", 1, "1"), table("d", 1, "1")];
        let found = [table("e", 9, "9"), table("d", 1, "1"), table("c", 1, "2"), table("b", 2, "1")];
        let seen: Vec<&str> = differences(&expected, &found)
            .iter()
            .map(|difference| match difference {
                Difference::Missing(table) => table.table.as_str(),
                Difference::Changed { expected, .. } => expected.table.as_str(),
            })
            .collect();
        assert_eq!(seen, ["a", "b", "c"]);
        assert!(differences(&[], &found).is_empty());
    }

    #[test]
    fn only_what_stayed_is_kept() {
        let before = vec![table("a", 1, "1"), table("b", 1, "1"), table("c", 1, "1")];
        let after = [table("a", 1, "1"), table("b", 2, "1"), table("d", 1, "1"), table("e", 1, "1")];
        assert_eq!(unchanged(before, &after), (vec![table("a", 1, "1")], 3));
        assert_eq!(unchanged(vec![], &[]), (vec![], 0));
    }
}
