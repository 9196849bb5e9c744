//! What `backup-list` and `restore-point-list` print: byte for byte what WAL-G prints, for scripts that read it.
//!
//! The forms are those of [`segment_agent::listing`]; the rows of a cluster are here.

mod details;
#[cfg(test)]
mod golden_tests;
mod restore_points;

pub use details::{Proofs, backup_details};
pub use restore_points::restore_points;
pub use segment_agent::listing::{Layout, backups};
use segment_agent::listing::{table, write_list};
