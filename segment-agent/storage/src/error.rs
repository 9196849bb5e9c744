//! What can go wrong with a storage, and what callers may conclude from it.

use crate::record::Operation;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can decide on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The object (or the bucket, or the root directory) does not exist.
    NotFound,
    /// Something else stands where the object should be.
    Exists,
    /// The storage knows us and refuses, or does not know us.
    Denied,
    /// Retries were used up; the same call may succeed later.
    Transient,
    /// The storage delivered something else than what was stored.
    Corrupt,
    /// The request can never succeed: a bad key, a bad setting, a request the storage does not understand.
    Invalid,
    /// No space or quota is left.
    NoSpace,
}

/// `location` is a full, printable address such as `s3://bucket/path/key`; no field ever holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {operation} {location}: it does not exist")]
    NotFound { operation: Operation, location: String },

    #[error("cannot {operation} {location}: something else is in its place: {reason}")]
    Exists { operation: Operation, location: String, reason: String },

    #[error("cannot {operation} {location}: access denied: {reason}")]
    Denied { operation: Operation, location: String, reason: String },

    #[error("cannot {operation} {location}: {reason}")]
    Transient { operation: Operation, location: String, reason: String },

    #[error("cannot {operation} {location}: {reason}")]
    Corrupt { operation: Operation, location: String, reason: String },

    #[error("cannot {operation} {location}: {reason}")]
    Invalid { operation: Operation, location: String, reason: String },

    #[error("cannot {operation} {location}: no space left on the storage: {reason}")]
    NoSpace { operation: Operation, location: String, reason: String },

    #[error("setting {name}: {reason}")]
    InvalidSetting { name: String, reason: String },

    #[error("no storage is configured: set WALG_S3_PREFIX or WALG_FILE_PREFIX")]
    NotConfigured,
}

impl Error {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::NotFound { .. } => ErrorKind::NotFound,
            Error::Exists { .. } => ErrorKind::Exists,
            Error::Denied { .. } => ErrorKind::Denied,
            Error::Transient { .. } => ErrorKind::Transient,
            Error::Corrupt { .. } => ErrorKind::Corrupt,
            Error::NoSpace { .. } => ErrorKind::NoSpace,
            Error::Invalid { .. } | Error::InvalidSetting { .. } | Error::NotConfigured => ErrorKind::Invalid,
        }
    }

    /// An error of the given kind about an operation on one object.
    pub(crate) fn new(kind: ErrorKind, operation: Operation, location: String, reason: impl Into<String>) -> Error {
        let reason = reason.into();
        match kind {
            ErrorKind::NotFound => Error::NotFound { operation, location },
            ErrorKind::Exists => Error::Exists { operation, location, reason },
            ErrorKind::Denied => Error::Denied { operation, location, reason },
            ErrorKind::Transient => Error::Transient { operation, location, reason },
            ErrorKind::Corrupt => Error::Corrupt { operation, location, reason },
            ErrorKind::Invalid => Error::Invalid { operation, location, reason },
            ErrorKind::NoSpace => Error::NoSpace { operation, location, reason },
        }
    }

    pub(crate) fn setting(name: &str, reason: impl Into<String>) -> Error {
        Error::InvalidSetting { name: name.to_owned(), reason: reason.into() }
    }
}
