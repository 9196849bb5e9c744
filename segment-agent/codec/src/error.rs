//! What can go wrong between plain content and stored bytes.
//!
//! Errors travel inside `std::io::Error` through `Read` and `Write`; `Error::from` takes them out again, so that
//! callers can always branch on the variant.

use std::io;

/// Why a stream could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stream ended before its own end mark: a part of the object is missing.
    #[error("{what} ends too early: the object is truncated, use another copy of it")]
    Truncated { what: &'static str },
    /// The stream breaks its format, or a checksum does not match.
    #[error("{what} is damaged: {why}; use another copy of the object")]
    Corrupt { what: &'static str, why: String },
    /// The very first encrypted chunk does not authenticate.
    #[error(
        "cannot decrypt: the key does not fit, the object was stored without encryption, or its first bytes are damaged; \
         check WALG_LIBSODIUM_KEY and WALG_LIBSODIUM_KEY_TRANSFORM"
    )]
    WrongKey,
    /// A setting has a value that cannot be used. The value of a secret is never shown.
    #[error("{setting} cannot be used: {why}")]
    Setting { setting: &'static str, why: String },
    /// A legal stream or request that is not supported here.
    #[error("{what} is not supported: {why}")]
    Unsupported { what: &'static str, why: String },
    /// More content than the member's header announced.
    #[error("{name}: {offered} bytes offered, but the archive header leaves room for {room}")]
    TooMuchContent { name: String, offered: usize, room: u64 },
    /// A call in a wrong order, or a call after a failed one.
    #[error("{what} cannot be continued: {why}")]
    Misuse { what: &'static str, why: &'static str },
    /// The library behind a codec or cipher refused to work (mostly: no memory).
    #[error("cannot set up {what}: {why}")]
    Setup { what: &'static str, why: String },
    /// The underlying reader or writer failed.
    #[error(transparent)]
    Io(io::Error),
}

impl Error {
    /// A stream that breaks the rules of `what`.
    pub(crate) fn corrupt(what: &'static str, why: impl Into<String>) -> Error {
        Error::Corrupt { what, why: why.into() }
    }

    /// A library that could not be set up.
    pub(crate) fn setup(what: &'static str, why: impl ToString) -> Error {
        Error::Setup { what, why: why.to_string() }
    }

    /// True if the stored bytes themselves are bad: reading the same object again is of no use.
    pub fn is_damage(&self) -> bool {
        matches!(self, Error::Truncated { .. } | Error::Corrupt { .. } | Error::WrongKey)
    }
}

impl From<io::Error> for Error {
    /// Takes an `Error` that travelled inside an `io::Error` out again.
    fn from(error: io::Error) -> Error {
        match error.downcast::<Error>() {
            Ok(inner) => inner,
            Err(error) => Error::Io(error),
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        let kind = match &error {
            Error::Io(_) => {
                let Error::Io(inner) = error else { return io::Error::other(error) };
                return inner;
            }
            Error::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            Error::Corrupt { .. } | Error::WrongKey => io::ErrorKind::InvalidData,
            Error::Unsupported { .. } => io::ErrorKind::Unsupported,
            Error::Setting { .. } | Error::TooMuchContent { .. } | Error::Misuse { .. } => io::ErrorKind::InvalidInput,
            Error::Setup { .. } => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}
