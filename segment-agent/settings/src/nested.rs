//! The settings that hold maps.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{Error, Settings, file};

pub(crate) const FAILOVER_STORAGES: &str = "WALG_FAILOVER_STORAGES";
const STATSD_EXTRA_TAGS: &str = "WALG_STATSD_EXTRA_TAGS";

/// Never exported to child processes.
pub(crate) const NAMES: [&str; 2] = [FAILOVER_STORAGES, STATSD_EXTRA_TAGS];

type Storages = BTreeMap<String, BTreeMap<String, String>>;

impl Settings {
    /// `WALG_FAILOVER_STORAGES`: name (lower case) -> settings (upper case) of a further storage; config file only.
    pub fn failover_storages(&self) -> &BTreeMap<String, BTreeMap<String, String>> {
        &self.failover_storages
    }

    /// `WALG_STATSD_EXTRA_TAGS`: a map in the config file, or JSON text.
    pub fn statsd_extra_tags(&self) -> Result<BTreeMap<String, String>, Error> {
        let Some(text) = self.get(STATSD_EXTRA_TAGS) else { return Ok(BTreeMap::new()) };
        let invalid = || self.invalid(STATSD_EXTRA_TAGS, "expected a JSON map of tags to values");
        let Ok(Value::Object(map)) = serde_json::from_str(text) else { return Err(invalid()) };
        let tags = map.iter().map(|(tag, value)| Ok((tag.clone(), file::scalar(value)?.unwrap_or_default())));
        tags.collect::<Result<_, &str>>().map_err(|_| invalid())
    }
}

/// True if a map or list in the config file is this setting's value, as JSON text.
pub(crate) fn holds_json(name: &str) -> bool {
    name == STATSD_EXTRA_TAGS || name.ends_with("_USER_DATA") || name.ends_with("S3_REQUEST_ADDITIONAL_HEADERS")
}

/// The storages of a config file; the error names what stands in a place where it cannot be.
pub(crate) fn storages(value: &Value) -> Result<Storages, &'static str> {
    let entries = match value {
        Value::Null => return Ok(Storages::new()),
        Value::Object(map) => map,
        _ => return Err("something else than a map of storage names to settings"),
    };
    entries.iter().map(|(name, options)| Ok((name.to_lowercase(), options_of(options)?))).collect()
}

fn options_of(value: &Value) -> Result<BTreeMap<String, String>, &'static str> {
    let Value::Object(map) = value else { return Err("a storage that is no map of settings") };
    let mut options = BTreeMap::new();
    for (name, value) in map {
        let name = name.to_uppercase();
        let text = match file::scalar(value) {
            Err(_) if holds_json(&name) => Some(value.to_string()),
            Err(_) => return Err("a storage with a map or list"),
            Ok(text) => text,
        };
        options.extend(text.map(|text| (name, text)));
    }
    Ok(options)
}
