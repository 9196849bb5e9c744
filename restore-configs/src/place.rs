//! The parsed restore config.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::Error;

/// Host, port and data directory of one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub hostname: String,
    /// 1 to 65535.
    pub port: u16,
    /// Absolute, without `..`, not the root.
    pub data_dir: PathBuf,
    /// New directories of tablespaces, by oid or by the directory they had. Damson's own; WAL-G ignores the key.
    pub tablespaces: BTreeMap<String, PathBuf>,
}

/// Places by content id; -1 is the coordinator. No two entries share a port or a directory of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreConfig {
    pub segments: BTreeMap<i32, Place>,
    /// Where mirrors are to be, by content id; an extension that WAL-G ignores.
    pub mirrors: BTreeMap<i32, Place>,
    /// Where the standby is to be; an extension that WAL-G ignores.
    pub standby: Option<Place>,
}

impl RestoreConfig {
    /// Reads and checks the JSON text of a restore config.
    pub fn parse(text: &str) -> Result<RestoreConfig, Error> {
        crate::parse::parse(text)
    }

    /// The places of `contents`, in their order. Entries for other content ids are ignored, as in WAL-G.
    pub fn for_contents(&self, contents: &[i32]) -> Result<Vec<(i32, &Place)>, Error> {
        let missing: Vec<i32> = contents.iter().copied().filter(|id| !self.segments.contains_key(id)).collect();
        if !missing.is_empty() {
            return Err(Error::Missing { missing });
        }
        Ok(contents.iter().filter_map(|id| Some((*id, self.segments.get(id)?))).collect())
    }
}
