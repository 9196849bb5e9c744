//! The two settings that hold maps.

use std::collections::BTreeMap;

use crate::{Error, Settings};

impl Settings {
    /// `WALG_FAILOVER_STORAGES`: name (lower case) -> settings (upper case) of a further storage; config file only.
    pub fn failover_storages(&self) -> &BTreeMap<String, BTreeMap<String, String>> {
        todo!()
    }

    /// `WALG_STATSD_EXTRA_TAGS`: a map in the config file, or JSON text.
    pub fn statsd_extra_tags(&self) -> Result<BTreeMap<String, String>, Error> {
        todo!()
    }
}
