//! The control plane: the hosts of a cluster, the fan-out of one command over them, and what a person sees of it.

pub mod catalog;
pub mod fanout;
pub mod host;
pub mod impact;
pub mod listing;
pub mod openmetrics;
pub mod progress;
pub mod recovery;
pub mod retention;
pub mod starting;
