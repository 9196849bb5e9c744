//! Makes operations of a store fail on purpose, for tests that ask what a broken storage does to a backup.
//!
//! A fault strikes before the operation reaches the storage: nothing has happened when the error comes back.

use crate::error::{Error, ErrorKind, Result};
use crate::record::Operation;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which operation fails, how, and for how long. Counting starts when the plan is given to [`crate::Store::failing`].
#[derive(Debug, Clone)]
pub struct FaultPlan {
    nth: u64,
    operation: Option<Operation>,
    key_part: Option<String>,
    kind: ErrorKind,
    forever: bool,
}

impl FaultPlan {
    /// The `n`-th operation (from 1) fails once with a transient error.
    pub fn nth(n: u64) -> FaultPlan {
        FaultPlan { nth: n.max(1), operation: None, key_part: None, kind: ErrorKind::Transient, forever: false }
    }

    /// Counts operations of this kind only.
    pub fn of(self, operation: Operation) -> FaultPlan {
        FaultPlan { operation: Some(operation), ..self }
    }

    /// Counts only operations on keys (relative to the root of the store) that contain `part`.
    pub fn on_key(self, part: &str) -> FaultPlan {
        FaultPlan { key_part: Some(part.to_owned()), ..self }
    }

    /// Fails with this kind of error.
    pub fn with(self, kind: ErrorKind) -> FaultPlan {
        FaultPlan { kind, ..self }
    }

    /// The n-th operation fails and all that follow.
    pub fn forever(self) -> FaultPlan {
        FaultPlan { forever: true, ..self }
    }
}

/// A plan at work: counts the operations that match it.
#[derive(Debug)]
pub(crate) struct Faults {
    plan: FaultPlan,
    seen: AtomicU64,
}

impl Faults {
    pub(crate) fn new(plan: FaultPlan) -> Faults {
        Faults { plan, seen: AtomicU64::new(0) }
    }

    pub(crate) fn check(&self, operation: Operation, key: &str, location: &str) -> Result<()> {
        let plan = &self.plan;
        let counted = plan.operation.is_none_or(|wanted| wanted == operation)
            && plan.key_part.as_ref().is_none_or(|part| key.contains(part.as_str()));
        if !counted {
            return Ok(());
        }
        let position = self.seen.fetch_add(1, Ordering::Relaxed) + 1;
        if position == plan.nth || (plan.forever && position > plan.nth) {
            return Err(Error::new(plan.kind, operation, location.to_owned(), "a fault was injected"));
        }
        Ok(())
    }
}
