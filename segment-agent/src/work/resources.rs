//! What the settings allow: connections, workers, memory, part sizes.

use std::time::Duration;

use chrono::TimeDelta;
use pgclient::ConnectOptions;
use settings::Settings;

use crate::environment::lookup;
use crate::error::{Error, Result};
use crate::pool::Pool;
use crate::push::SharedLimits;
use crate::repository::Repository;

/// Memory that all segments of a host may use together, unless DAMSON_MEMORY_BUDGET says otherwise.
const DEFAULT_BUDGET: u64 = 64 << 20;

/// WALG_TAR_SIZE_THRESHOLD, unless set.
const DEFAULT_PART_BYTES: u64 = (1 << 30) - 1;

/// WALG_GP_AOSEG_SIZE_THRESHOLD and WALG_GP_PAXFILE_SIZE_THRESHOLD, unless set.
const DEFAULT_SHARED_BYTES: u64 = 1 << 20;

/// WALG_GP_AOSEG_DEDUPLICATION_AGE_LIMIT and WALG_GP_PAXFILE_DEDUPLICATION_AGE_LIMIT, unless set.
const DEFAULT_SHARED_AGE: Duration = Duration::from_secs(720 * 3600);

/// Memory of a decoder: two blocks of the largest legal size.
const DECODER_BYTES: u64 = 9 << 20;

/// Read and not yet written, of one object that is copied.
const COPY_CHUNK_BYTES: u64 = 2 << 20;

/// libpq's environment, with the settings in front of it.
pub fn connect_options(settings: &Settings) -> Result<ConnectOptions> {
    let options = ConnectOptions::from_lookup(&lookup(settings))?;
    Ok(match settings.duration("DAMSON_CONNECT_TIMEOUT")? {
        Some(timeout) => options.with_connect_timeout(timeout),
        None => options,
    })
}

/// Workers that compress. WALG_UPLOAD_DISK_CONCURRENCY, where it is set, says how many; the budget may say fewer.
pub fn push_pool(settings: &Settings, repository: &Repository) -> Result<Pool> {
    let encoder = repository.compression.encoder_memory_bytes() as u64;
    let pool = Pool::for_budget(budget(settings)?, encoder, repository.upload_memory_bytes());
    let pool = limited(pool, settings, "WALG_UPLOAD_DISK_CONCURRENCY")?;
    Ok(match rate(settings, "WALG_DISK_RATE_LIMIT")? {
        Some(bytes_per_second) => pool.with_disk_limit(bytes_per_second),
        None => pool,
    })
}

/// Workers that unpack. WALG_DOWNLOAD_CONCURRENCY, where it is set, says how many at most.
pub fn fetch_pool(settings: &Settings, repository: &Repository) -> Result<Pool> {
    limited(
        Pool::for_budget(budget(settings)?, DECODER_BYTES, repository.download_memory_bytes()),
        settings,
        "WALG_DOWNLOAD_CONCURRENCY",
    )
}

/// Objects that may be copied from one storage to another at once.
pub fn copies_at_once(settings: &Settings, source: &Repository, target: &Repository) -> Result<usize> {
    const MOST: usize = 8;
    let bytes = source.download_memory_bytes() + target.upload_memory_bytes() + COPY_CHUNK_BYTES;
    Ok(usize::try_from(budget(settings)? / bytes).unwrap_or(MOST).clamp(1, MOST))
}

fn limited(pool: Pool, settings: &Settings, name: &str) -> Result<Pool> {
    if !settings.explicit(name) {
        return Ok(pool);
    }
    Ok(Pool::with_workers(settings.concurrency(name, pool.workers())?.min(pool.affordable())))
}

/// How long a server may take to leave backup mode; WAL-G's 0 means for ever.
pub fn stop_timeout(settings: &Settings) -> Result<Option<Duration>> {
    Ok(settings.duration("WALG_STOP_BACKUP_TIMEOUT")?.filter(|timeout| !timeout.is_zero()))
}

/// Bytes a second; nothing where there is no limit.
fn rate(settings: &Settings, name: &str) -> Result<Option<u64>> {
    match settings.int(name)? {
        None | Some(0) => Ok(None),
        Some(bytes) => u64::try_from(bytes)
            .map(Some)
            .map_err(|_| Error::refused(format!("{name} is {bytes}"), "set it to a number of bytes a second")),
    }
}

/// Payload after which a part is closed.
pub fn part_bytes(settings: &Settings) -> Result<u64> {
    match settings.int("WALG_TAR_SIZE_THRESHOLD")? {
        None => Ok(DEFAULT_PART_BYTES),
        Some(bytes) => u64::try_from(bytes).map_err(|_| {
            Error::refused(format!("WALG_TAR_SIZE_THRESHOLD is {bytes}"), "set it to a number of bytes above 0")
        }),
    }
}

/// Which files of append-optimized tables are stored once for many backups, and for how long.
pub fn shared_limits(settings: &Settings) -> Result<SharedLimits> {
    let bytes = |name: &str| match settings.int(name)? {
        None => Ok(DEFAULT_SHARED_BYTES),
        Some(bytes) => u64::try_from(bytes)
            .map_err(|_| Error::refused(format!("{name} is {bytes}"), "set it to a number of bytes from 0 on")),
    };
    let age = |name: &str| {
        let age = settings.duration(name)?.unwrap_or(DEFAULT_SHARED_AGE);
        // What no calendar holds never ends.
        Ok::<_, Error>(TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX))
    };
    Ok(SharedLimits {
        ao_bytes: bytes("WALG_GP_AOSEG_SIZE_THRESHOLD")?,
        ao_age: age("WALG_GP_AOSEG_DEDUPLICATION_AGE_LIMIT")?,
        pax_bytes: bytes("WALG_GP_PAXFILE_SIZE_THRESHOLD")?,
        pax_age: age("WALG_GP_PAXFILE_DEDUPLICATION_AGE_LIMIT")?,
        trust_file_times: settings.bool("DAMSON_AO_TRUST_FILE_TIMES")?,
    })
}

fn budget(settings: &Settings) -> Result<u64> {
    Ok(settings.bytes("DAMSON_MEMORY_BUDGET")?.unwrap_or(DEFAULT_BUDGET))
}
