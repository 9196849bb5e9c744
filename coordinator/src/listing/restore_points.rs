//! The short lists: names and modification times.

use std::io::{self, Write};

use segment_agent::listing::{Entry, Layout, entries};

use crate::catalog::RestorePointEntry;

/// `restore-point-list`, in the order of `points`; WAL-G calls the first column `backup_name` here, too.
pub fn restore_points(points: &[RestorePointEntry], layout: Layout, out: &mut impl Write) -> io::Result<()> {
    let list: Vec<_> = points.iter().map(|point| Entry::new(&point.name, point.modified)).collect();
    entries(&list, layout, "No restore points found", out)
}
