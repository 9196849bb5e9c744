//! The test rig: real servers, started in a scratch directory, that touch nothing else on the machine.
//!
//! - [`User`]: the unprivileged user that every server and every product binary runs as.
//! - [`Scratch`]: one directory per test; kept, and its path printed, when the test fails.
//! - [`Hosts`]: loopback addresses with a real OpenSSH server each, and the client's keys, known_hosts and ssh_config.
//! - [`Cluster`]: a stand-in Greenplum of real PostgreSQL servers spread over the hosts.
//! - [`AoTable`], [`PaxTable`]: imitations of append-optimized and PAX tables.
//! - [`S3`]: an S3 server over a directory.
//! - [`Product`]: the built binaries, their settings file, and commands run with a limit of time.
//! - [`Stand`]: all of these together, as most tests want them; [`Restore`]: where it is restored to.
//! - [`Workplace`]: the product without any server. [`WalG`]: a WAL-G beside the product.
//! - [`tree`], [`golden`], [`load`], [`row_sums`]: what to compare after a restore.
//!
//! The rig serves tests, so it panics, with the log's end in the message, where a server does not do what it should.
//! Whatever it starts it ends by its own process id when the value is dropped. Declare a [`Scratch`] before what lives
//! in it: values are dropped in reverse order, and the directory must go last.

mod append_optimized;
mod cluster;
pub mod golden;
mod hosts;
mod ports;
mod postgres;
mod process;
mod product;
mod restore;
mod rows;
mod s3;
mod scratch;
mod stand;
mod standin;
mod template;
pub mod tree;
mod user;
mod wal_g;
mod workplace;

pub use append_optimized::{AoKind, AoTable, PaxTable};
pub use cluster::{Cluster, ClusterSpec, Place, restore_config};
pub use hosts::{Host, Hosts};
pub use ports::free_port;
pub use postgres::{Server, sql, sql_in, try_sql};
pub use process::{Process, process_ids, wait_for};
pub use product::{Output, Product, Running};
pub use restore::Restore;
pub use rows::{damage, load, row_sums};
pub use s3::{ACCESS_KEY, BUCKET, S3, SECRET_KEY};
pub use scratch::Scratch;
pub use stand::{Stand, StandSpec, Storage};
pub use standin::Flavor;
pub use user::User;
pub use wal_g::WalG;
pub use workplace::Workplace;

/// Where PostgreSQL's binaries are; `RIG_PG_BIN` names another version's folder.
pub fn pg_bin() -> std::path::PathBuf {
    std::env::var_os("RIG_PG_BIN").unwrap_or_else(|| "/usr/lib/postgresql/15/bin".into()).into()
}
