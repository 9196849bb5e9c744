//! Trees that WAL-G wrote are read, and what Damson writes is such a tree.

mod deltas;
mod greenplum6;
mod postgres15;
mod written;
