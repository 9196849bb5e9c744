//! Carries a plan out. Dumb: it removes what stands in the plan, in the plan's order.

use storage::{StaleUpload, Store};
use tokio_util::sync::CancellationToken;

use super::DeletePlan;
use crate::error::{Error, Result};
use crate::lease::Lease;

/// Objects removed by one request of a storage that can do several.
const BATCH: usize = 1000;

/// What ends a deletion before its time.
#[derive(Clone, Copy)]
pub struct Stop<'a> {
    pub cancel: &'a CancellationToken,
    pub lease: &'a Lease,
}

impl Stop<'_> {
    fn check(&self) -> Result<()> {
        if self.lease.is_lost() || self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        Ok(())
    }
}

/// Removes everything in `plan` from `store`. Cut off at any point, the same or any other deletion finds the rest again.
pub async fn execute(store: &Store, plan: &DeletePlan, stop: Stop<'_>) -> Result<usize> {
    let keys: Vec<String> = plan.objects.iter().map(|object| object.key.clone()).collect();
    for batch in keys.chunks(BATCH) {
        stop.check()?;
        store.delete(batch).await?;
    }
    abort_uploads(store, &plan.uploads, stop).await?;
    Ok(keys.len())
}

async fn abort_uploads(store: &Store, uploads: &[StaleUpload], stop: Stop<'_>) -> Result<()> {
    for upload in uploads {
        stop.check()?;
        store.abort_upload(upload).await?;
    }
    Ok(())
}
