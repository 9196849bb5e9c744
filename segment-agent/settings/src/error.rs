//! Why settings cannot be used.

use std::path::PathBuf;

/// What callers decide on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The command line names no config file where one is needed.
    Usage,
    /// The config file cannot be read or parsed.
    File,
    /// A value has the wrong form.
    Value,
}

/// A secret's text is never part of an error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("required flag(s) \"config\" not set: name the config file with --config PATH (or WALG_CONFIG_PATH)")]
    NoConfig,
    #[error("cannot read the config file {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot read the config file {}: {what}; files ending in .yaml, .yml, .json, .toml, .env and .dotenv work", path.display())]
    Format { path: PathBuf, what: String },
    #[error("cannot parse the config file {}: {reason}", path.display())]
    Malformed { path: PathBuf, reason: String },
    #[error("{name} in the config file {} holds {found} where one value is expected", path.display())]
    NotAValue { path: PathBuf, name: String, found: &'static str },
    #[error("{name}={value:?}: {reason}")]
    Value { name: String, value: String, reason: String },
    #[error("{first} and {second} are both set: choose one of the two ciphers")]
    TwoCiphers { first: String, second: String },
}

impl Error {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::NoConfig => ErrorKind::Usage,
            Error::Read { .. } | Error::Format { .. } | Error::Malformed { .. } | Error::NotAValue { .. } => {
                ErrorKind::File
            }
            Error::Value { .. } | Error::TwoCiphers { .. } => ErrorKind::Value,
        }
    }
}
