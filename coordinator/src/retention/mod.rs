//! Which backups and restore points of a cluster a deletion removes, and what that means for each segment: pure rules.

mod points;
mod wishes;

pub use points::{Remaining, points_that_go};
pub use wishes::{Common, chains, entries, marked, wishes};
