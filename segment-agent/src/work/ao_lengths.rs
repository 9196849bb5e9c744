//! The lengths of append-optimized files, for one segment of a job.

use formats::BackupName;
use formats::wire::{SegmentResult, SegmentTarget};
use pgclient::ConnectOptions;

use crate::ao_lengths::{check_backup, check_server};
use crate::error::Result;
use crate::repository::Repository;

/// So many problems are reported one by one.
const TOLD_MAX: usize = 1000;

/// Without `backup`, what the running server has; with it, what that backup of the segment has.
pub async fn check_lengths(
    repository: &Repository,
    target: &SegmentTarget,
    connect: &ConnectOptions,
    backup: Option<&BackupName>,
) -> Result<SegmentResult> {
    let mut lengths = match backup {
        None => check_server(connect, &target.data_dir).await?,
        Some(backup) => check_backup(repository, backup, &target.data_dir).await?,
    };
    let more = lengths.problems.len().saturating_sub(TOLD_MAX);
    lengths.problems.truncate(TOLD_MAX);
    if more > 0 {
        lengths.problems.push(format!("and {more} more files"));
    }
    Ok(SegmentResult::AoLengths { files: lengths.files, problems: lengths.problems })
}
