//! Every stored or transmitted format as types: WAL-G's JSON documents, the keys of a storage, Damson's manifest, and the
//! messages between coordinator and agents.
//!
//! Pure: bytes in, values out and back. What WAL-G 3.0.9 wrote is read and written again byte for byte (maps sorted);
//! keys it does not know are ignored, keys that older releases left out get their defaults.

pub mod ao;
pub mod cluster;
mod content_hash;
pub mod deletion;
mod error;
pub mod files;
mod files_reader;
mod files_writer;
pub mod go_json;
pub mod increment;
pub mod layout;
pub mod lease;
pub mod manifest;
mod names;
pub mod pax;
pub mod pending;
pub mod proof;
pub mod rows;
pub mod segment;
pub mod selection;
pub mod server;
mod tablespace;
pub mod time;
pub mod wire;

pub use content_hash::{ContentHash, ParseHashError};
pub use error::{Error, ErrorKind};
pub use names::{
    BackupId, BackupName, ContentId, DbId, NameError, check_new_restore_point_name, check_restore_point_name,
};
pub use tablespace::{TablespaceLocation, TablespaceSpec};
pub use time::Timestamp;

/// The constant that WAL-G writes as `date_fmt`.
pub const DATE_FORMAT: &str = "%Y-%m-%dT%H:%M:%S.%fZ";
