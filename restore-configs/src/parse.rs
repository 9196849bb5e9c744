//! From JSON text to checked places.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Component, Path, PathBuf};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::{Error, Place, PlaceProblem, RestoreConfig};

pub fn parse(text: &str) -> Result<RestoreConfig, Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let document: Pairs<Box<RawValue>> = serde_json::from_str(text).map_err(|error| json_error(text, &error))?;
    let mut found = document.0.iter().filter(|(key, _)| key.eq_ignore_ascii_case("segments")).map(|(_, value)| value);
    let (Some(segments), None) = (found.next(), found.next()) else { return Err(Error::NoSegments) };
    let Ok(entries) = serde_json::from_str::<Pairs<Box<RawValue>>>(segments.get()) else {
        return Err(Error::NoSegments);
    };
    if entries.0.is_empty() {
        return Err(Error::NoSegments);
    }
    let mut segments = BTreeMap::new();
    for (key, entry) in entries.0 {
        let content = content_id(&key)?;
        let place = place(&entry).map_err(|problem| Error::Place { content, problem })?;
        if segments.insert(content, place).is_some() {
            return Err(Error::Duplicate { content });
        }
    }
    refuse_clashes(&segments)?;
    let (mirrors, standby) = replicas(&document, &segments)?;
    Ok(RestoreConfig { segments, mirrors, standby })
}

/// The extensions `mirrors` and `standby`. Each is a place of its own.
fn replicas(
    document: &Pairs<Box<RawValue>>,
    segments: &BTreeMap<i32, Place>,
) -> Result<(BTreeMap<i32, Place>, Option<Place>), Error> {
    let value = |name: &str| document.0.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let mut mirrors = BTreeMap::new();
    if let Some(text) = value("mirrors") {
        let entries: Pairs<Box<RawValue>> = serde_json::from_str(text.get()).map_err(|_| Error::Mirrors)?;
        for (key, entry) in entries.0 {
            let content = content_id(&key)?;
            let place =
                replica(&entry).map_err(|problem| Error::Replica { of: format!("mirror {content}"), problem })?;
            if !segments.contains_key(&content) || mirrors.insert(content, place).is_some() {
                return Err(Error::Mirrors);
            }
        }
    }
    let standby = value("standby").map(|entry| replica(entry)).transpose();
    let standby = standby.map_err(|problem| Error::Replica { of: "standby".to_owned(), problem })?;
    let taken = mirrors.values().chain(&standby);
    let clash = |a: &Place, b: &Place| a.hostname == b.hostname && (a.port == b.port || a.data_dir == b.data_dir);
    let all: Vec<&Place> = segments.values().chain(taken).collect();
    for (at, place) in all.iter().enumerate().skip(segments.len()) {
        if all.iter().take(at).any(|other| clash(other, place)) {
            return Err(Error::ReplicaClash { hostname: place.hostname.clone(), port: place.port });
        }
    }
    Ok((mirrors, standby))
}

/// Its tablespaces lie where its primary has them.
fn replica(entry: &RawValue) -> Result<Place, PlaceProblem> {
    let place = place(entry)?;
    if place.tablespaces.is_empty() { Ok(place) } else { Err(PlaceProblem::ReplicaTablespaces) }
}

fn json_error(text: &str, error: &serde_json::Error) -> Error {
    let unbraced = !text.trim_start().starts_with('{') && text.contains("\"segments\"");
    let hint = unbraced.then_some("the whole file must stand in braces: {\"segments\": {...}}");
    Error::Json { reason: error.to_string(), hint }
}

/// -1 is the coordinator; nothing lies below it. Only the plain spelling, so that no two keys mean one id.
fn content_id(key: &str) -> Result<i32, Error> {
    let id = key.parse().ok().filter(|id: &i32| *id >= -1 && id.to_string() == key);
    id.ok_or_else(|| Error::NotAContentId { key: key.to_owned() })
}

fn place(entry: &RawValue) -> Result<Place, PlaceProblem> {
    let wrong = |found: &str| PlaceProblem::WrongType {
        field: "the entry",
        expected: "a map with hostname, port and data_dir",
        found: found.to_owned(),
    };
    let fields: Pairs<Value> = serde_json::from_str(entry.get()).map_err(|_| wrong(entry.get()))?;
    Ok(Place {
        hostname: hostname(field(&fields, "hostname")?)?,
        port: port(field(&fields, "port")?)?,
        data_dir: directory("data_dir", field(&fields, "data_dir")?)?,
        tablespaces: match field(&fields, "tablespaces") {
            Err(PlaceProblem::Absent(_)) => BTreeMap::new(),
            Err(other) => return Err(other),
            Ok(_) => tablespaces(entry)?,
        },
    })
}

/// Read from the text itself, so that a tablespace that stands twice is noticed.
fn tablespaces(entry: &RawValue) -> Result<BTreeMap<String, PathBuf>, PlaceProblem> {
    let wrong = |found: &str| PlaceProblem::WrongType {
        field: "tablespaces",
        expected: "a map from the oid or the old directory of a tablespace to its new directory",
        found: found.to_owned(),
    };
    let fields: Pairs<Box<RawValue>> = serde_json::from_str(entry.get()).map_err(|_| wrong(entry.get()))?;
    let value = fields.0.iter().find(|(key, _)| key.eq_ignore_ascii_case("tablespaces")).map(|(_, value)| value);
    let text = value.map_or("", |value| value.get());
    let pairs: Pairs<Value> = serde_json::from_str(text).map_err(|_| wrong(text))?;
    let mut found = BTreeMap::new();
    for (name, place) in pairs.0 {
        if !name.starts_with('/') && name.parse::<u32>().is_err() {
            return Err(PlaceProblem::TablespaceName(name));
        }
        if found.insert(name.clone(), directory("tablespaces", &place)?).is_some() {
            return Err(PlaceProblem::Twice { field: "a tablespace" });
        }
    }
    Ok(found)
}

fn field<'a>(fields: &'a Pairs<Value>, name: &'static str) -> Result<&'a Value, PlaceProblem> {
    let mut found = fields.0.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    match (found.next(), found.next()) {
        (Some(_), Some(_)) => Err(PlaceProblem::Twice { field: name }),
        (None | Some(Value::Null), _) => Err(PlaceProblem::Absent(name)),
        (Some(value), None) => Ok(value),
    }
}

fn text<'a>(value: &'a Value, field: &'static str) -> Result<&'a str, PlaceProblem> {
    let wrong = || PlaceProblem::WrongType { field, expected: "a text", found: value.to_string() };
    value.as_str().ok_or_else(wrong)
}

/// The name ends up as an argument of ssh: no option may be smuggled in.
fn hostname(value: &Value) -> Result<String, PlaceProblem> {
    let name = text(value, "hostname")?;
    let odd = name.is_empty() || name.starts_with('-') || name.contains(|c: char| c.is_whitespace() || c.is_control());
    if odd { Err(PlaceProblem::Hostname(name.to_owned())) } else { Ok(name.to_owned()) }
}

fn port(value: &Value) -> Result<u16, PlaceProblem> {
    if !value.is_number() {
        return Err(PlaceProblem::WrongType { field: "port", expected: "a number", found: value.to_string() });
    }
    let port = value.as_u64().and_then(|number| u16::try_from(number).ok()).filter(|port| *port > 0);
    port.ok_or_else(|| PlaceProblem::Port(value.to_string()))
}

fn directory(field: &'static str, value: &Value) -> Result<PathBuf, PlaceProblem> {
    let text = text(value, field)?;
    let path = Path::new(text);
    if !path.is_absolute() {
        return Err(PlaceProblem::RelativeDirectory { field, text: text.to_owned() });
    }
    if path.components().any(|part| part == Component::ParentDir) || text.contains(char::is_control) {
        return Err(PlaceProblem::UnclearDirectory { field, text: text.to_owned() });
    }
    // Put together again without `//`, `/.` and a trailing slash, so that equal directories compare equal.
    let path: PathBuf = path.components().collect();
    if path.parent().is_none() { Err(PlaceProblem::RootDirectory { field }) } else { Ok(path) }
}

fn refuse_clashes(segments: &BTreeMap<i32, Place>) -> Result<(), Error> {
    for (&content, place) in segments {
        refuse_nested_tablespaces(place).map_err(|problem| Error::Place { content, problem })?;
    }
    for (&second, b) in segments {
        for (&first, a) in segments.range(..second) {
            if !a.hostname.eq_ignore_ascii_case(&b.hostname) {
                continue;
            }
            let what = if let Some(what) = shared_directory(a, b) {
                what
            } else if a.port == b.port {
                format!("port {}", a.port)
            } else {
                continue;
            };
            return Err(Error::Clash { first, second, hostname: a.hostname.clone(), what });
        }
    }
    Ok(())
}

/// Two servers would write into one directory.
fn shared_directory(a: &Place, b: &Place) -> Option<String> {
    let directories = |place: &Place| {
        let spaces = place.tablespaces.values().cloned().map(|path| ("the tablespace directory", path));
        std::iter::once(("data_dir", place.data_dir.clone())).chain(spaces).collect::<Vec<_>>()
    };
    for (kind, ours) in directories(a) {
        for (_, theirs) in directories(b) {
            if ours == theirs {
                return Some(format!("{kind} {}", ours.display()));
            }
            if ours.starts_with(&theirs) || theirs.starts_with(&ours) {
                return Some(format!("{kind} ({} and {}: one lies in the other)", ours.display(), theirs.display()));
            }
        }
    }
    None
}

/// Every tablespace needs a directory of its own, outside of the data directory.
fn refuse_nested_tablespaces(place: &Place) -> Result<(), PlaceProblem> {
    let spaces: Vec<_> = place.tablespaces.values().collect();
    for (at, space) in spaces.iter().enumerate() {
        let others = std::iter::once(&place.data_dir).chain(spaces[..at].iter().copied());
        for other in others {
            if space.starts_with(other) || other.starts_with(space) {
                return Err(PlaceProblem::Nested {
                    space: space.display().to_string(),
                    other: other.display().to_string(),
                });
            }
        }
    }
    Ok(())
}

/// A JSON map with every key it has, also those that stand twice.
struct Pairs<T>(Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor(PhantomData))
    }
}

struct PairsVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for PairsVisitor<T> {
    type Value = Pairs<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<T>, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Pairs(pairs))
    }
}
