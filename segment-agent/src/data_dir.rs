//! A data directory on this host: is it what it is said to be?

use std::path::Path;

use pgclient::Server;
use pgdata::ControlFile;
use settings::Settings;

use crate::error::{Error, Result};

/// Reads and checks `global/pg_control`.
pub fn read_control(data_dir: &Path) -> Result<ControlFile> {
    let path = data_dir.join("global/pg_control");
    let bytes = std::fs::read(&path).map_err(|error| Error::file("reading", &path, error))?;
    ControlFile::parse(&bytes).map_err(|error| {
        Error::refused(
            format!("{}: {error}", path.display()),
            "check that the directory belongs to a PostgreSQL or Greenplum server",
        )
    })
}

/// Fails unless `server` runs on `data_dir`.
pub async fn must_belong_to(data_dir: &Path, server: &Server) -> Result<()> {
    let resolve = |path: &Path| {
        std::fs::canonicalize(path).map_err(|error| Error::file("resolving the data directory", path, error))
    };
    let ours = resolve(data_dir)?;
    let theirs = server.setting("data_directory").await?.unwrap_or_default();
    if resolve(Path::new(&theirs)).ok().as_deref() == Some(ours.as_path()) {
        return Ok(());
    }
    let what = format!("the server at {} runs on {theirs}, not on {}", server.address(), ours.display());
    Err(Error::refused(
        what,
        "check the port and the data directory of this segment in gp_segment_configuration, and PGHOST",
    ))
}

/// Sizes are read from `pg_control`; a setting that says something else is refused, not followed.
pub fn refuse_contradictions(settings: &Settings, control: &ControlFile) -> Result<()> {
    let wal_mib = control.wal_segment_size.bytes() >> 20;
    let known = [
        ("WALG_PG_WAL_SIZE", wal_mib, "MiB"),
        ("WALG_PG_WAL_PAGE_SIZE", u64::from(control.wal_block_size), "bytes"),
        ("WALG_PG_BLOCK_SIZE", u64::from(control.block_size), "bytes"),
    ];
    for (name, actual, unit) in known {
        if !settings.explicit(name) {
            continue;
        }
        let set = settings.get(name).unwrap_or_default();
        if set.trim().parse() != Ok(actual) {
            let what = format!("{name} is set to {set}, but the server's pg_control says {actual} {unit}");
            return Err(Error::refused(what, format!("remove {name} from the settings, or set it to {actual}")));
        }
    }
    Ok(())
}
