//! The golden storage trees (`tests/golden`), each described by the README.md beside it.

use std::path::{Path, PathBuf};

use crate::Scratch;
use crate::tree::{self, Listing};

/// The four trees for PostgreSQL 15 that need no OpenPGP.
pub const POSTGRES15: [&str; 4] = ["pg15-brotli", "pg15-lz4", "pg15-lz4-libsodium", "pg15-zstd"];

/// The key of `pg15-lz4-libsodium`, to be read with `WALG_LIBSODIUM_KEY_TRANSFORM=base64`.
pub const LIBSODIUM_KEY: &str = "V0xqtA3Zwu9emhsSlatIiXlMaPa/0lbD9CS8OGdC6Qc=";

/// Full, delta, delta of the delta: the cluster backups of `greenplum6` in time order.
pub const GREENPLUM6_BACKUPS: [&str; 3] = [
    "backup_20261121T082823Z",
    "backup_20261121T082827Z_D_20261121T082823Z",
    "backup_20261121T082833Z_D_20261121T082827Z",
];

/// The folder `tests/golden`.
pub fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// Unpacks the tree of the Greenplum 6 cluster and returns its storage root, `<scratch>/golden/store`.
pub fn greenplum6(scratch: &Scratch) -> PathBuf {
    let into = scratch.dir("golden");
    tree::unpack(&dir().join("greenplum6/store.tar.zst"), &into);
    into.join("store")
}

/// What a right restore of backup 1, 2 or 3 of `greenplum6` looks like: `c/`, `s0/`, `s1/`.
pub fn greenplum6_listing(number: usize) -> Listing {
    tree::parse(&tree::read_zstd(&dir().join(format!("greenplum6/listing_{number}.tsv.zst"))))
}

/// What `listing_N` leaves out, since a restore writes it: applied to a listing of a restored tree.
pub fn is_written_by_restore(path: &str) -> bool {
    matches!(path.rsplit('/').next(), Some("recovery.conf" | "pg_hba.conf"))
}

/// Unpacks a tree for PostgreSQL 15 and returns its folder, which holds `storage/`, `expected.txt` and others.
pub fn postgres15(scratch: &Scratch, name: &str) -> PathBuf {
    let into = scratch.dir("golden");
    tree::unpack(&dir().join(format!("postgres15/{name}.tar.gz")), &into);
    into.join(name)
}
