//! Copies in another storage restore like the original, which is gone by then.

mod cluster;
mod golden;
mod single;
