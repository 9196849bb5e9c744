//! Data directories cheaply: one `initdb` per kind of server, kept in the build directory, copied for every server.
//!
//! Each copy gets a system identifier of its own, as separate servers have.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::{Flavor, Scratch, User, pg_bin, product, user};

/// The superuser of every server, named as Greenplum's administrator is.
pub const SUPERUSER: &str = "gpadmin";

const SETTINGS: &str = "
# The rig's.
fsync = off
shared_buffers = 16MB
max_connections = 40
autovacuum = off
wal_level = replica
max_wal_senders = 4
max_wal_size = 128MB
archive_mode = on
jit = off
log_line_prefix = '%m [%p] '
timezone = 'UTC'
";

const ACCESS: &str = "local all all trust\nhost all all 127.0.0.0/8 trust\nhost all all ::1/128 trust\n\
                      local replication all trust\nhost replication all 127.0.0.0/8 trust\n";

/// What kind of server to make.
#[derive(Clone, Copy, Debug, Hash)]
pub struct Kind {
    pub flavor: Flavor,
    pub wal_segment_mib: u32,
}

/// Makes a data directory at `target` (whose parent exists), owned by the user, with its own system identifier.
pub fn create_data_dir(scratch: &Scratch, kind: Kind, target: &Path) {
    let template = template(scratch, kind);
    // Run by whoever runs the rig: the build directory may be out of the user's reach.
    user::run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(&template).arg(target));
    set_system_identifier(target);
}

fn template(scratch: &Scratch, kind: Kind) -> PathBuf {
    static LOCK: Mutex<()> = Mutex::new(());
    let _one_at_a_time = LOCK.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let release = user::run(Command::new(pg_bin().join("postgres")).arg("--version"));
    let mut hasher = DefaultHasher::new();
    (release, kind, kind.flavor.statements(), SETTINGS, ACCESS, User::get().uid).hash(&mut hasher);
    let folder = product::build_dir().join("rig-templates");
    let finished = folder.join(format!("{:016x}", hasher.finish()));
    if !finished.is_dir() {
        std::fs::create_dir_all(&folder).unwrap();
        let made = scratch.join("template");
        make(kind, &made);
        // Another test binary may do the same: both build aside, the first rename wins.
        let aside = folder.join(format!("making-{}", std::process::id()));
        user::run(Command::new("cp").arg("-a").arg(&made).arg(&aside));
        if std::fs::rename(&aside, &finished).is_err() {
            std::fs::remove_dir_all(&aside).unwrap();
        }
        std::fs::remove_dir_all(&made).unwrap();
    }
    finished
}

fn make(kind: Kind, dir: &Path) {
    let mut initdb = User::get().command(pg_bin().join("initdb"));
    initdb.arg("-D").arg(dir).args(["-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]);
    initdb.args(["--no-sync", "--no-instructions", "--data-checksums"]);
    user::run(initdb.arg(format!("--wal-segsize={}", kind.wal_segment_mib)));
    let file = dir.join("postgresql.conf");
    let stock = std::fs::read_to_string(&file).unwrap();
    let least = 2 * kind.wal_segment_mib;
    User::get().write(&file, format!("{stock}{SETTINGS}min_wal_size = {least}MB\n"), 0o600);
    User::get().write(&dir.join("pg_hba.conf"), ACCESS, 0o600);
    let statements = kind.flavor.statements();
    for database in ["template1", "postgres"] {
        run_single_user(dir, database, &statements);
    }
}

/// Runs statements, one a line, without starting a server.
fn run_single_user(dir: &Path, database: &str, statements: &[String]) {
    let mut command = User::get().command(pg_bin().join("postgres"));
    command.args(["--single", "-c", "allow_system_table_mods=on", "-c", "archive_mode=off", "-D"]);
    command.arg(dir).arg(database).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    for statement in statements {
        writeln!(input, "{statement}").unwrap();
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    // Single-user mode goes on after an error and ends with 0.
    assert!(output.status.success() && !errors.contains("ERROR"), "stand-in catalogs in {database}:\n{errors}");
}

/// Writes a fresh identifier into pg_control (its first 8 bytes, sealed by the CRC behind the last field), then lets
/// pg_resetwal begin a WAL that carries it.
fn set_system_identifier(dir: &Path) {
    let path = dir.join("global/pg_control");
    let mut bytes = std::fs::read(&path).unwrap();
    let crc_at = (64..1024).find(|end| crc32c::crc32c(&bytes[..*end]).to_le_bytes() == bytes[*end..*end + 4]);
    let crc_at = crc_at.expect("pg_control has no checksum where it should");
    bytes[..8].copy_from_slice(&fresh_identifier().to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..crc_at]);
    bytes[crc_at..crc_at + 4].copy_from_slice(&crc.to_le_bytes());
    User::get().write(&path, bytes, 0o600);
    user::run(User::get().command(pg_bin().join("pg_resetwal")).arg("-D").arg(dir));
}

/// Seconds in the upper half, as initdb does, then microseconds and a counter.
fn fresh_identifier() -> u64 {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let count = COUNTER.fetch_add(1, Ordering::Relaxed) & 0xfff;
    (now.as_secs() << 32) | (u64::from(now.subsec_micros()) << 12) | count
}
