//! Config files: by extension into pairs of upper-case name and value.
//!
//! The formats and their rules are WAL-G's (viper): names in any case, numbers and booleans used as text. Errors say where
//! the file is wrong and never quote it, since the line may hold a password.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::{Error, dotenv};

/// Endings of the default file in the home directory, in WAL-G's order.
const HOME_EXTENSIONS: [&str; 12] =
    ["json", "toml", "yaml", "yml", "properties", "props", "prop", "hcl", "tfvars", "dotenv", "env", "ini"];

/// The first existing `.walg.<extension>` of `home`.
pub fn default_in(home: &Path) -> Option<PathBuf> {
    HOME_EXTENSIONS.iter().map(|extension| home.join(format!(".walg.{extension}"))).find(|path| path.exists())
}

/// Names in upper case with their values, in the file's order. `env` is for the references of a dotenv file.
pub fn read(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Vec<(String, Value)>, Error> {
    let parse = parser_for(path)?;
    let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let malformed = |reason: String| Error::Malformed { path: path.to_owned(), reason };
    let text = String::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8 text".to_owned()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut pairs: Vec<(String, Value)> = Vec::new();
    for (key, value) in parse(text, env).map_err(malformed)? {
        let name = key.to_uppercase();
        if pairs.iter().any(|(known, _)| *known == name) {
            return Err(malformed(format!("{name} stands twice")));
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// A scalar as text; `None` for what is unset: null or empty. An error names what stands there instead of a scalar.
pub fn scalar(value: &Value) -> Result<Option<String>, &'static str> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::Bool(flag) => flag.to_string(),
        Value::String(text) => text.trim_end_matches(['\r', '\n']).to_owned(),
        Value::Number(number) => match (number.is_f64(), number.as_f64()) {
            // As Go prints a float without exponent: 1e8 is 100000000.
            (true, Some(float)) => float.to_string(),
            _ => number.to_string(),
        },
        Value::Array(_) => return Err("a list"),
        Value::Object(_) => return Err("a map"),
    };
    Ok(Some(text).filter(|text| !text.is_empty()))
}

type Parse = fn(&str, &dyn Fn(&str) -> Option<String>) -> Result<Map<String, Value>, String>;

fn parser_for(path: &Path) -> Result<Parse, Error> {
    let format = |what: String| Error::Format { path: path.to_owned(), what };
    // Not `Path::extension`: a file named just `.env` has the extension "env" here.
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("yaml" | "yml") => Ok(|text, _| yaml(text)),
        Some("json") => Ok(|text, _| json(text)),
        Some("toml") => Ok(|text, _| toml(text)),
        Some("env" | "dotenv") => Ok(dotenv::parse),
        Some(other) => Err(format(format!("the format {other:?} is not supported"))),
        None => Err(format("its name has no extension to tell the format".to_owned())),
    }
}

fn yaml(text: &str) -> Result<Map<String, Value>, String> {
    let mut value: serde_yaml::Value = serde_yaml::from_str(text).map_err(|e| position_only(&e))?;
    value.apply_merge().map_err(|_| "a merge key (<<) does not name a map".to_owned())?;
    match serde_json::to_value(value).map_err(|_| "a key is no plain text".to_owned())? {
        Value::Null => Ok(Map::new()),
        value => top_level(value),
    }
}

/// YAML as JSON text, for the few settings whose value is a document of its own.
pub fn yaml_as_json(text: &str) -> Option<String> {
    let value: serde_yaml::Value = serde_yaml::from_str(text).ok()?;
    serde_json::to_string(&value).ok()
}

/// libyaml's and serde's messages may quote a value after `: `; what a person needs is the place and the first words.
fn position_only(error: &serde_yaml::Error) -> String {
    let quoted = error.to_string().contains(['"', '`', '\'']);
    match (error.location(), quoted) {
        (Some(at), true) => format!("not valid YAML at line {} column {}", at.line(), at.column()),
        (None, true) => "not valid YAML".to_owned(),
        (_, false) => error.to_string(),
    }
}

fn json(text: &str) -> Result<Map<String, Value>, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    top_level(value)
}

fn toml(text: &str) -> Result<Map<String, Value>, String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1;
        format!("not valid TOML at line {line}")
    })?;
    Ok(table.into_iter().map(|(key, value)| (key, from_toml(value))).collect())
}

fn from_toml(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => Value::from(number),
        toml::Value::Boolean(flag) => Value::Bool(flag),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(items) => items.into_iter().map(from_toml).collect(),
        toml::Value::Table(table) => table.into_iter().map(|(key, value)| (key, from_toml(value))).collect(),
    }
}

fn top_level(value: Value) -> Result<Map<String, Value>, String> {
    match value {
        Value::Object(map) => Ok(map),
        _ => Err("its top level must be a map of setting names to values".to_owned()),
    }
}
