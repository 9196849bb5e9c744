//! The plugin's configuration: YAML with `executablepath` and a flat map of `options`, as gpbackup rewrites it for every host.
//!
//! gpbackup turns every value into text, adds options of its own and, with encryption, a secret under the plugin's name. So
//! an unknown option is worth a line in the log, never a failure.

use std::collections::BTreeMap;
use std::path::Path;

use segment_agent::error::{Error, Result};
use serde_json::Value;

/// What gpbackup reads or adds for itself.
const OF_GPBACKUP: [&str; 7] = [
    "pgport",
    "backup_plugin_version",
    "password_encryption",
    "replication",
    "remote_password_encryption",
    "restore_subset",
    "gpbackup_damson_plugin",
];

/// The options that are this plugin's own.
pub const CONFIG: &str = "config";
pub const RESTORE_UNPROVED: &str = "restore_unproved";
pub const PROVE_INPUT: &str = "prove_input";
const OWN: [&str; 3] = [CONFIG, RESTORE_UNPROVED, PROVE_INPUT];

/// Options by name. Never printed: some values are secrets.
pub struct Options(BTreeMap<String, String>);

impl Options {
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::file("reading the plugin's configuration", path, error))?;
        Self::parse(&text).map_err(|why| {
            let what = format!("the plugin's configuration {} cannot be used: {why}", path.display());
            Error::refused(what, "`gpbackup_damson_plugin --help` shows its form")
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let json = settings::yaml_as_json(text).ok_or("it is not valid YAML")?;
        let value: Value = serde_json::from_str(&json).map_err(|_| "it is not valid YAML")?;
        let Value::Object(mut top) = value else { return Err("it is no map".to_owned()) };
        let options = match top.remove("options") {
            Some(Value::Object(options)) => options,
            Some(Value::Null) | None => return Err("it has no `options`".to_owned()),
            Some(_) => return Err("`options` is no map".to_owned()),
        };
        let mut texts = BTreeMap::new();
        for (name, value) in options {
            let text = scalar(&value).ok_or_else(|| format!("option {name} is not a single value"))?;
            if !text.is_empty() {
                texts.insert(name, text);
            }
        }
        Ok(Self(texts))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// `on` or `off`, in any of YAML's spellings.
    pub fn switch(&self, name: &str, default: bool) -> Result<bool> {
        match self.get(name).map(str::to_ascii_lowercase).as_deref() {
            None => Ok(default),
            Some("on" | "true" | "yes" | "1") => Ok(true),
            Some("off" | "false" | "no" | "0") => Ok(false),
            Some(_) => Err(Error::refused(format!("option {name} is neither on nor off"), "write on or off")),
        }
    }

    /// The options that are settings of damson, by their names.
    pub fn settings(&self) -> Vec<(String, String)> {
        let is_setting = |name: &str| !OF_GPBACKUP.contains(&name) && settings::find(&name.to_uppercase()).is_some();
        let named = self.0.iter().filter(|(name, _)| is_setting(name));
        named.map(|(name, text)| (name.to_uppercase(), text.clone())).collect()
    }

    /// Names that nobody knows. `known`: those of the S3 plugin.
    pub fn unknown(&self, known: &[&str]) -> Vec<&str> {
        let is_unknown = |name: &&str| {
            let named = [known, &OF_GPBACKUP, &OWN].concat().contains(name);
            !named && settings::find(&name.to_uppercase()).is_none()
        };
        self.0.keys().map(String::as_str).filter(is_unknown).collect()
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(value) => Some(value.to_string()),
        Value::String(value) => Some(value.trim().to_owned()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plg_003_options_come_as_text_or_as_yaml_likes_it() {
        let options = Options::parse(
            "executablepath: /usr/bin/p\noptions:\n  pgport: \"6000\"\n  walg_compression_method: zstd\n  restore_unproved: on\n  \
             bucket: b\n  surplus: 1\n  empty:\n",
        )
        .unwrap();
        assert_eq!(options.settings(), [("WALG_COMPRESSION_METHOD".to_owned(), "zstd".to_owned())]);
        assert!(options.switch(RESTORE_UNPROVED, false).unwrap());
        assert_eq!(options.unknown(&["bucket"]), ["surplus"]);
        assert_eq!(options.get("empty"), None);
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        for text in [
            "",
            "x",
            "[]",
            "options: 1",
            "executablepath: /p",
            "options:\n  a: [1]",
            "options:\n  a: {b: 1}",
            "a: b: c",
        ] {
            assert!(Options::parse(text).is_err(), "{text}");
        }
    }
}
