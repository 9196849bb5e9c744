//! What can go wrong with one segment, as callers see it.

use std::path::{Path, PathBuf};

use formats::wire::ErrorReport;

/// Failure of a push, a fetch or an archive command.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Storage(#[from] storage::Error),
    #[error(transparent)]
    Server(#[from] pgclient::Error),
    #[error(transparent)]
    Settings(#[from] settings::Error),
    #[error("{doing} {}: {source}", path.display())]
    File { doing: &'static str, path: PathBuf, source: std::io::Error },
    /// An object of the storage does not decode, or does not hold what was promised.
    #[error("object {key} is damaged: {why}")]
    Damaged { key: String, why: String },
    /// A restored file differs from what the manifest promises.
    #[error("file {path} of object {key} does not restore to what was backed up: {why}")]
    Differs { path: String, key: String, why: String },
    #[error("{what}")]
    Refused { what: String, remedy: String },
    #[error("archive file {name} does not exist in {storage}")]
    NotArchived { name: String, storage: String },
    #[error("cancelled")]
    Cancelled,
}

/// What callers decide by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    NotArchived,
    Cancelled,
    NoSpace,
    Other,
}

impl Error {
    /// A refusal that names its remedy.
    pub fn refused(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Refused { what: what.into(), remedy: remedy.into() }
    }

    /// `doing` is a present participle: "reading", "creating".
    pub fn file(doing: &'static str, path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::File { doing, path: path.as_ref().to_owned(), source }
    }

    pub fn damaged(key: impl Into<String>, why: impl std::fmt::Display) -> Self {
        Self::Damaged { key: key.into(), why: why.to_string() }
    }

    pub fn kind(&self) -> Kind {
        match self {
            Self::NotArchived { .. } => Kind::NotArchived,
            Self::Cancelled => Kind::Cancelled,
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => Kind::NoSpace,
            Self::Storage(error) if error.kind() == storage::ErrorKind::NoSpace => Kind::NoSpace,
            _ => Kind::Other,
        }
    }

    /// What a person should do next, where that is known.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Refused { remedy, .. } => Some(remedy.clone()),
            Self::Differs { .. } | Self::Damaged { .. } => {
                let remedy = "the storage does not hold what was written, or the key in the settings is another one than it was \
                              written with: check the key, use another backup or copy, and keep this one for examination";
                Some(remedy.to_owned())
            }
            _ if self.kind() == Kind::NoSpace => {
                Some("free space on that file system, then run the same command again".to_owned())
            }
            Self::Storage(error) => storage_remedy(error).map(str::to_owned),
            _ => None,
        }
    }

    /// The error as it crosses the wire.
    pub fn report(&self) -> ErrorReport {
        ErrorReport { message: self.to_string(), remedy: self.remedy() }
    }
}

/// What a person should do about a storage that fails.
pub fn storage_remedy(error: &storage::Error) -> Option<&'static str> {
    match error.kind() {
        storage::ErrorKind::NotFound => Some(
            "check the storage prefix in the settings; a directory or bucket that does not exist must be created first",
        ),
        storage::ErrorKind::Denied => {
            Some("check the permissions of the storage for this user, or the keys in the settings")
        }
        storage::ErrorKind::NoSpace => Some("free space on the storage, then run the same command again"),
        storage::ErrorKind::Transient => {
            Some("see whether the storage can be reached, then run the same command again")
        }
        storage::ErrorKind::Exists | storage::ErrorKind::Corrupt | storage::ErrorKind::Invalid => None,
    }
}

/// Keeps the failure that explains the others: what was cancelled because of it does not replace it.
pub(crate) fn keep_first(failure: &mut Option<Error>, error: Error) {
    if failure.is_none() || matches!(failure, Some(Error::Cancelled)) {
        *failure = Some(error);
    }
}

/// An I/O error that carries one of ours inside is that one.
pub fn from_io(error: std::io::Error, otherwise: impl FnOnce(std::io::Error) -> Error) -> Error {
    if error.get_ref().is_some_and(|inner| inner.is::<Error>()) {
        if let Some(inner) = error.into_inner() {
            return match inner.downcast::<Error>() {
                Ok(ours) => *ours,
                Err(other) => otherwise(std::io::Error::other(other)),
            };
        }
        return Error::Cancelled;
    }
    otherwise(error)
}

pub type Result<T, E = Error> = std::result::Result<T, E>;
