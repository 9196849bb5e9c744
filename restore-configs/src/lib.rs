//! Where each segment of a cluster is to be restored: `{"segments": {"<content id>": {hostname, port, data_dir}}}`.
//!
//! A segment may also say where its tablespaces go: `"tablespaces": {"<oid or old directory>": "<new directory>"}`.
//!
//! The format is WAL-G's (`--restore-config`). Parsing is strict about what would misplace data and says which content id
//! is wrong; keys it does not know are ignored, as WAL-G ignores them.

mod error;
mod parse;
mod place;

pub use error::{Error, PlaceProblem};
pub use place::{Place, RestoreConfig};
