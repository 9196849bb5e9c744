//! `rig-peer`: the product and a WAL-G on the same storages. Each writes full backups and deltas over its own and the other's; both
//! restore every one of them, to the same bytes; each deletes among them, and the other restores what is left. `run` in this
//! folder builds everything and starts this.

mod cluster;
mod server;

use std::path::PathBuf;

use clap::Parser;
use rig::tree::{self, Listing};

/// Checks both directions beside a WAL-G; see `tests/peer/run`.
#[derive(Debug, Parser)]
#[command(name = "rig-peer")]
struct Arguments {
    /// A WAL-G for PostgreSQL
    #[arg(long, value_name = "PATH")]
    wal_g: Option<PathBuf>,
    /// A WAL-G for Greenplum
    #[arg(long, value_name = "PATH")]
    wal_g_gp: Option<PathBuf>,
}

fn main() {
    let arguments = Arguments::parse();
    if let Some(given) = &arguments.wal_g {
        server::check(given);
    }
    if let Some(given) = &arguments.wal_g_gp {
        cluster::check(given);
    }
}

/// Panics with the differences.
fn assert_same(what: &str, expected: &Listing, found: &Listing) {
    let different = tree::differences(expected, found);
    assert!(different.is_empty(), "{what}:\n{different}");
}

/// A restored tree, without what the product notes for itself.
fn restored(root: &std::path::Path) -> Listing {
    tree::without(tree::list(root), |path| path == ".damson-restored")
}
