//! What can go wrong between us and a server.

use std::time::Duration;

/// What callers decide on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A connection setting is wrong; retrying does not help.
    Invalid,
    /// The server does not answer, or not in time.
    Unreachable,
    /// The server refuses this user, password, database or kind of connection.
    Denied,
    /// The connection broke after it was made: the session and its backup mode are gone.
    Lost,
    /// The server answered a query with an error, or with something unexpected.
    Query,
    /// Another backup holds the lock.
    Busy,
}

/// `address` is `host:port` or the path of a socket.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("connection setting {setting}: {reason}")]
    Invalid { setting: String, reason: String },
    #[error("cannot connect to {address} as user {user}, database {database}: {reason}")]
    Unreachable { address: String, user: String, database: String, reason: String },
    #[error("cannot connect to {address} as user {user}, database {database}: {reason}")]
    Denied { address: String, user: String, database: String, reason: String, sqlstate: String },
    #[error("cannot connect to {address}: no answer within {} s", after.as_secs_f64())]
    ConnectTimeout { address: String, after: Duration },
    #[error("{what} on {address}: the connection was lost: {reason}")]
    Lost { what: String, address: String, reason: String },
    #[error("{what} on {address}: {message} (SQLSTATE {sqlstate})")]
    Query { what: String, address: String, message: String, sqlstate: String },
    #[error("{what} on {address}: unexpected answer: {detail}")]
    Unexpected { what: String, address: String, detail: String },
    #[error("{what} on {address}: not possible on server version {version}: {reason}")]
    Unsupported { what: String, address: String, version: u32, reason: String },
    #[error(
        "another backup of the cluster behind {address} is running: its lock is already taken; wait for it or end it"
    )]
    BackupLockTaken { address: String },
}

impl Error {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Invalid { .. } => ErrorKind::Invalid,
            Error::Unreachable { .. } | Error::ConnectTimeout { .. } => ErrorKind::Unreachable,
            // Starting up, shutting down, too many connections: it may serve later.
            Error::Denied { sqlstate, .. } if ["57P01", "57P02", "57P03", "53300"].contains(&sqlstate.as_str()) => {
                ErrorKind::Unreachable
            }
            Error::Denied { .. } => ErrorKind::Denied,
            Error::Lost { .. } => ErrorKind::Lost,
            Error::Query { .. } | Error::Unexpected { .. } | Error::Unsupported { .. } => ErrorKind::Query,
            Error::BackupLockTaken { .. } => ErrorKind::Busy,
        }
    }
}
