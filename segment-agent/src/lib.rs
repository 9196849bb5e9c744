//! One data directory, one storage prefix: backing it up, restoring it, archiving its log.
//!
//! A PostgreSQL server is a segment without a cluster. This library knows nothing of other segments, hosts or SSH; a host's
//! agent ([`serve`]) runs several segments side by side under one budget of memory and workers.

pub mod monitor;
pub mod serve;
