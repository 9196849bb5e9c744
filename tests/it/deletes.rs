//! Deletions: of the golden trees, on a running cluster, killed in the middle, and beside other commands.

mod golden;
mod killed;
mod leases;
mod running;
mod single;

use std::collections::BTreeSet;
use std::path::Path;

use rig::{Output, tree};

/// Keys of all objects below a file storage, or the folder of an S3 bucket.
fn keys(store: &Path) -> BTreeSet<String> {
    let files = tree::list(store).into_iter().filter(|(_, entry)| matches!(entry, tree::Entry::File { .. }));
    files.map(|(path, _)| path).filter(|path| !path.contains("/leases/")).collect()
}

/// Objects that a dry run names.
fn marked(output: &Output) -> BTreeSet<String> {
    let marked = |line: &str| {
        let (_, rest) = line.split_once("Object marked for deletion: ")?;
        Some(rest.strip_suffix(" storage=default").unwrap().to_owned())
    };
    output.stderr.lines().filter_map(marked).collect()
}

/// The counts that a run prints: the cluster's, then one for each segment.
fn counts(output: &Output) -> Vec<usize> {
    let count = |line: &str| {
        if line.contains("No objects matched the deletion criteria.") {
            return Some(0);
        }
        let (_, rest) = line.split_once("count=")?;
        rest.split(',').next()?.trim().parse().ok()
    };
    output.stderr.lines().filter_map(count).collect()
}
