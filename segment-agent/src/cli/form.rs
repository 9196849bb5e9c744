//! The form of a list, as every list command takes it.

use clap::{ArgAction, Args};

use crate::error::{Error, Result};
use crate::listing::Layout;

#[derive(Debug, Args)]
pub struct Form {
    /// A table with borders; with --json: indented
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    pretty: bool,
    /// JSON, for programs
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    json: bool,
}

impl Form {
    pub fn layout(&self) -> Layout {
        Layout::from_flags(self.pretty, self.json)
    }
}

/// What a command returns when its output cannot be written.
pub(super) fn printed(outcome: std::io::Result<()>) -> Result<()> {
    outcome.map_err(|error| Error::file("printing to", "stdout", error))
}
