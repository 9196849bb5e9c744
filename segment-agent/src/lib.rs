//! One data directory, one storage prefix: backing it up, restoring it, archiving its log.
//!
//! A PostgreSQL server is a segment without a cluster. This library knows nothing of other segments, hosts or SSH; a host's
//! agent ([`serve`]) runs several segments side by side under one budget of memory and workers.

pub mod ao_lengths;
pub mod backups;
pub mod bridge;
pub mod cli;
pub mod copy;
pub mod data_dir;
pub mod delta;
pub mod environment;
pub mod error;
pub mod fetch;
pub mod lease;
pub mod listing;
pub mod logs;
pub mod mark;
pub mod monitor;
pub mod pool;
pub mod proofs;
pub mod push;
pub mod repository;
pub mod retain;
pub mod segment_logs;
pub mod serve;
pub mod server;
pub mod verify;
pub mod wal;
pub mod work;
