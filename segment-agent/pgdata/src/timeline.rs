//! Timelines: which history of the log a position belongs to.

use std::fmt;

/// Number of a timeline, 1 in a fresh cluster, one higher after every promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct TimelineId(pub u32);

/// A history file (`00000002.history`) that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the timeline history is malformed: {text:?}")]
pub struct ParseTimelineError {
    pub line: usize,
    pub text: String,
}

impl fmt::Display for TimelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
