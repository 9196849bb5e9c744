//! `Spec` of a sentinel: where the tablespaces of a backup lay.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// The data directory and its tablespaces. In JSON the locations stand beside the two fixed keys:
/// `{"16384":{"loc":..,"link":..},"base_prefix":..,"tablespaces":["16384"]}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TablespaceSpec {
    /// Data directory, without a trailing slash.
    pub base_prefix: String,
    /// By link name below `pg_tblspc`.
    pub tablespaces: BTreeMap<String, TablespaceLocation>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TablespaceLocation {
    /// Directory on the host, an absolute path.
    pub loc: String,
    /// `pg_tblspc/<name>`, relative to the data directory.
    pub link: String,
}

const BASE_PREFIX: &str = "base_prefix";
const TABLESPACES: &str = "tablespaces";

#[derive(Serialize)]
#[serde(untagged)]
enum Entry<'a> {
    Prefix(&'a str),
    Names(Vec<&'a str>),
    Location(&'a TablespaceLocation),
}

impl Serialize for TablespaceSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut entries: BTreeMap<&str, Entry<'_>> =
            self.tablespaces.iter().map(|(name, location)| (name.as_str(), Entry::Location(location))).collect();
        entries.insert(BASE_PREFIX, Entry::Prefix(&self.base_prefix));
        entries.insert(TABLESPACES, Entry::Names(self.tablespaces.keys().map(String::as_str).collect()));
        entries.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TablespaceSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut entries = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let base_prefix = entries.get(BASE_PREFIX).and_then(Value::as_str).map(str::to_owned);
        let base_prefix = base_prefix.ok_or_else(|| D::Error::missing_field(BASE_PREFIX))?;
        let names: Option<Vec<String>> =
            serde_json::from_value(entries.remove(TABLESPACES).unwrap_or_default()).map_err(D::Error::custom)?;
        let mut tablespaces = BTreeMap::new();
        for name in names.unwrap_or_default() {
            let missing = || D::Error::custom(format_args!("the tablespace {name} has no location"));
            let location = entries.remove(&name).ok_or_else(missing)?;
            let location = TablespaceLocation::deserialize(location).map_err(D::Error::custom)?;
            tablespaces.insert(name, location);
        }
        Ok(Self { base_prefix, tablespaces })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        let text = r#"{"16384":{"loc":"/mnt/home/ts1","link":"pg_tblspc/16384"},"base_prefix":"/mnt/home/d1","tablespaces":["16384"]}"#;
        let spec: TablespaceSpec = serde_json::from_str(text).unwrap();
        assert_eq!(spec.tablespaces["16384"].loc, "/mnt/home/ts1");
        assert_eq!(serde_json::to_string(&spec).unwrap(), text);
        let bare: TablespaceSpec = serde_json::from_str(r#"{"base_prefix":"/d","tablespaces":null}"#).unwrap();
        assert_eq!(serde_json::to_string(&bare).unwrap(), r#"{"base_prefix":"/d","tablespaces":[]}"#);
    }

    #[test]
    fn what_is_missing_is_an_error() {
        for text in [
            "{}",
            r#"{"tablespaces":[]}"#,
            r#"{"base_prefix":"/d","tablespaces":["1"]}"#,
            r#"{"base_prefix":"/d","tablespaces":["1"],"1":{"loc":"/x"}}"#,
            r#"{"base_prefix":"/d","tablespaces":["1","1"],"1":{"loc":"/x","link":"y"}}"#,
        ] {
            assert!(serde_json::from_str::<TablespaceSpec>(text).is_err(), "{text}");
        }
    }
}
