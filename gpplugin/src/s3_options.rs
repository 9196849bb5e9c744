//! The options of gpbackup_s3_plugin, so that its users change one line of their configuration.
//!
//! With them, objects lie where that plugin puts them, under the same keys and with the same bytes: each reads what the other
//! wrote.

use segment_agent::error::{Error, Result};
use storage::{S3Settings, StorageSettings};

use crate::config::Options;

/// All names of that plugin.
pub const NAMES: [&str; 13] = [
    "bucket",
    "folder",
    "region",
    "endpoint",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "encryption",
    "http_proxy",
    "backup_multipart_chunksize",
    "backup_max_concurrent_requests",
    "restore_multipart_chunksize",
    "restore_max_concurrent_requests",
];
pub const REMOVE_DUPLICATE_BUCKET: &str = "remove_duplicate_bucket";

/// S3 takes no smaller parts, and two of them are in memory.
pub const PART_BYTES: u64 = 5 << 20;

/// Whether the configuration is one of that plugin.
pub fn are_given(options: &Options) -> bool {
    options.get("bucket").is_some()
}

/// The bucket, and the folder in it that the backups lie in.
pub fn storage(options: &Options) -> Result<(S3Settings, String)> {
    let bucket = options.get("bucket").unwrap_or_default();
    let folder = options.get("folder").ok_or_else(|| missing("folder"))?;
    if options.get("region").is_none() && options.get("endpoint").is_none() {
        return Err(missing("region or endpoint"));
    }
    let endpoint = endpoint(options, bucket)?;
    let lookup = |name: &str| match name {
        "WALG_S3_PREFIX" => Some(format!("s3://{bucket}")),
        "AWS_ENDPOINT" => endpoint.clone(),
        "AWS_REGION" => Some(options.get("region").unwrap_or("us-east-1").to_owned()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" | "AWS_SESSION_TOKEN" => {
            options.get(&name.to_ascii_lowercase()).map(str::to_owned)
        }
        // Where credentials come from when none are given: what the cloud's own libraries read.
        name if name.starts_with("AWS_") || name == "HOME" => std::env::var(name).ok(),
        _ => None,
    };
    let StorageSettings::S3(mut s3) = StorageSettings::from_lookup(&lookup)? else {
        return Err(missing("bucket"));
    };
    s3.force_path_style = true;
    s3.proxy = options.get("http_proxy").map(str::to_owned);
    s3.part_size_bytes = size(options, "backup_multipart_chunksize")?.unwrap_or(PART_BYTES);
    s3.part_concurrency = count(options, "backup_max_concurrent_requests")?.unwrap_or(1);
    // Checked, so that a slip is told; downloads are streams and need neither.
    size(options, "restore_multipart_chunksize")?;
    count(options, "restore_max_concurrent_requests")?;
    Ok((s3, folder.trim_matches('/').to_owned()))
}

/// With scheme. `encryption: off` means plain HTTP where the endpoint does not say; an endpoint may carry the bucket already.
fn endpoint(options: &Options, bucket: &str) -> Result<Option<String>> {
    let scheme = if options.switch("encryption", true)? { "https" } else { "http" };
    let Some(text) = options.get("endpoint") else {
        return Ok(match scheme {
            "http" => Some(format!("http://s3.{}.amazonaws.com", options.get("region").unwrap_or_default())),
            _ => None,
        });
    };
    let (scheme, rest) = text.split_once("://").unwrap_or((scheme, text));
    let rest = match options.switch(REMOVE_DUPLICATE_BUCKET, false)? {
        true => rest.strip_prefix(bucket).and_then(|rest| rest.strip_prefix('.')).unwrap_or(rest),
        false => rest,
    };
    Ok(Some(format!("{scheme}://{rest}")))
}

/// `10MB`, `500KB`, `1GB`, in powers of 1024.
fn size(options: &Options, name: &str) -> Result<Option<u64>> {
    let Some(text) = options.get(name) else { return Ok(None) };
    let upper = text.to_ascii_uppercase();
    let digits = upper.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match upper[digits.len()..].trim() {
        "B" | "" => 0,
        "KB" => 10,
        "MB" => 20,
        "GB" => 30,
        _ => 64,
    };
    let bytes = digits.trim().parse::<u64>().ok().and_then(|number| number.checked_mul(1_u64.checked_shl(shift)?));
    match bytes {
        Some(bytes) if (PART_BYTES..=5 << 30).contains(&bytes) => Ok(Some(bytes)),
        _ => Err(Error::refused(
            format!("option {name} is {text:?}"),
            "write a size from 5MB to 5GB, with its unit: 10MB",
        )),
    }
}

fn count(options: &Options, name: &str) -> Result<Option<usize>> {
    let Some(text) = options.get(name) else { return Ok(None) };
    match text.parse() {
        Ok(count @ 1..=1000) => Ok(Some(count)),
        _ => Err(Error::refused(format!("option {name} is {text:?}"), "write a number from 1 to 1000")),
    }
}

fn missing(name: &str) -> Error {
    Error::refused(format!("the plugin's configuration has no {name}"), format!("add {name} to its options"))
}
