//! Commands about one segment's part of a storage, or about a single server's.

mod alone;
mod ao_lengths;
mod cluster_mark;
mod golden;
mod mark;
mod verify;
