//! Settings: where a value comes from, what it means, and the one table of all of them.
//!
//! A value is taken from the first of: command-line flag, environment variable, config file, built-in default. An empty
//! value counts as unset everywhere. Names are WAL-G's, upper case; one table ([`TABLE`]) lists them with defaults and
//! documentation and marks the secrets, which no message and no `Debug` shows.

mod dotenv;
mod encryption;
mod error;
mod file;
mod flags;
mod load;
mod nearest;
mod nested;
mod table;
mod typed;

pub use encryption::{Encryption, LibsodiumKey};
pub use error::{Error, ErrorKind};
pub use file::yaml_as_json;
pub use flags::{flag_name, split_flags};
pub use load::{Kind, Origin, Request, Settings};
pub use table::{AppliesTo, Setting, TABLE, find, is_secret};
