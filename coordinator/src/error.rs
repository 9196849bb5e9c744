//! The errors of a command, and how they end it.

use std::process::ExitCode;

use formats::wire::ErrorReport;

use coordinator::{catalog, recovery};

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Segment(#[from] segment_agent::error::Error),
    #[error(transparent)]
    Server(#[from] pgclient::Error),
    #[error(transparent)]
    Settings(#[from] settings::Error),
    #[error(transparent)]
    Storage(#[from] storage::Error),
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    #[error(transparent)]
    Recovery(#[from] recovery::Error),
    #[error(transparent)]
    RestoreConfig(#[from] restore_configs::Error),
    #[error("{doing}: {source}")]
    Local { doing: &'static str, source: std::io::Error },
    /// What a host reported.
    #[error("{}", .0.message)]
    Remote(ErrorReport),
    /// Several things failed, and each was printed.
    #[error("{0}")]
    Several(String),
    #[error("{what}")]
    Refused { what: String, remedy: String },
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    pub fn refused(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Refused { what: what.into(), remedy: remedy.into() }
    }

    /// What a person should do next, where that is known.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Segment(error) => error.remedy(),
            Self::Remote(report) => report.remedy.clone(),
            Self::Refused { remedy, .. } => Some(remedy.clone()),
            Self::Storage(error) | Self::Catalog(catalog::Error::Storage(error)) => {
                segment_agent::error::storage_remedy(error).map(str::to_owned)
            }
            _ => None,
        }
    }

    /// Prints the error with its remedy and gives the exit code.
    pub fn report(&self) -> ExitCode {
        tracing::error!("{self}");
        if let Some(remedy) = self.remedy() {
            tracing::error!("{remedy}");
        }
        ExitCode::FAILURE
    }
}

pub type Result<T, E = Error> = std::result::Result<T, E>;
