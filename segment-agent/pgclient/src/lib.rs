//! A live PostgreSQL or Greenplum server: connecting as libpq does, backup mode, WAL, catalogs.
//!
//! Queries use the simple protocol, so that a 9.4-based Greenplum 6 and PostgreSQL 18 take the same road; what differs
//! between versions is in [`Capabilities`] and nowhere else. Every error names what was asked and of which server, and
//! never a password.

mod append_optimized;
mod backup;
mod capabilities;
mod catalog;
mod connect;
mod error;
pub mod greenplum;
mod options;
mod passfile;
mod pax;
mod quote;
mod recovering;
mod server;
mod service;
mod tls;
mod vanishing;
mod verify;
mod wal;

pub use append_optimized::{AoKind, AoSegmentFile};
pub use backup::{StartedBackup, StoppedBackup};
pub use capabilities::{BackupFunctions, Capabilities, WalFunctions};
pub use catalog::{ArchiveFailure, Archiving, Database, Relation};
pub use error::{Error, ErrorKind};
pub use options::{ConnectOptions, Host, TargetSession, UtilityMode};
pub use pax::{PaxPart, PaxTableFile};
pub use quote::{quote_identifier, quote_literal};
pub use server::{Row, Server};
pub use tls::SslMode;
pub use wal::SwitchedWal;
