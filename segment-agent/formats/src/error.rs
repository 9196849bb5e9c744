//! Errors of this package.

use crate::NameError;

/// A document that cannot be read or contradicts itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{document} is malformed: {source}; it may have been cut off or altered")]
    Malformed { document: String, source: serde_json::Error },
    #[error("reading {document}: {source}")]
    Read { document: String, source: std::io::Error },
    #[error("{document} names the backup it is based on but not {missing}: the chain of backups cannot be followed")]
    IncompleteDelta { document: &'static str, missing: &'static str },
    #[error("the manifest has the version {found}, this release reads version {supported}: use a newer release")]
    ManifestVersion { found: u32, supported: u32 },
    #[error(transparent)]
    Name(#[from] NameError),
}

/// What a caller can make of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The bytes could not be had; reading again may help.
    Io,
    /// The bytes are wrong; reading again gives the same.
    Corrupt,
    /// Written by a newer release.
    Unsupported,
}

impl Error {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Read { .. } => ErrorKind::Io,
            Self::ManifestVersion { .. } => ErrorKind::Unsupported,
            Self::Malformed { .. } | Self::IncompleteDelta { .. } | Self::Name(_) => ErrorKind::Corrupt,
        }
    }

    /// Tells trouble of the reader below from trouble with the text.
    pub(crate) fn from_json(document: &str, source: serde_json::Error) -> Self {
        let document = document.to_owned();
        if source.is_io() {
            Self::Read { document, source: source.into() }
        } else {
            Self::Malformed { document, source }
        }
    }
}
