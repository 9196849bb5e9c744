//! Verifying the backups of one segment.

use formats::wire::{SegmentResult, SegmentTarget, VerifySource};

use super::Shared;
use crate::error::Result;
use crate::monitor::Monitor;
use crate::verify::verify;

pub async fn run(
    shared: &Shared,
    target: &SegmentTarget,
    sources: &[VerifySource],
    monitor: &Monitor,
) -> Result<SegmentResult> {
    let repository = shared.repository.segment(target.content);
    let verified = verify(&repository, sources, true, &shared.pool, monitor, &shared.cancel).await?;
    Ok(SegmentResult::Verified(verified))
}
