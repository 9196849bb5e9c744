//! Trees that WAL-G wrote are read, and what Damson writes is such a tree.

mod greenplum6;
mod postgres15;
mod written;
