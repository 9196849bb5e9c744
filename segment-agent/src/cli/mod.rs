//! What the front doors share: loading settings, printing errors, exit codes, the commands of one server.

mod archive;
mod backup;
mod copy;
mod delete;
mod delta;
mod form;
mod parse;
mod repository;
mod seg;
mod signals;
mod verify;
mod wal;

use std::path::PathBuf;
use std::process::ExitCode;

use settings::{Kind, Request, Settings};

pub use self::archive::{ArchiveCommand, run_archive_command};
pub use self::backup::{selectors, user_data, wanted};
pub use self::copy::{Copy, storage_settings, tell_comparison, tell_plan, timeline_of};
pub use self::delete::{
    Before, Delete, DeleteFlags, Everything, Retain, Target, delete_here, leftover_age, print_summary,
    say_nothing_found, words,
};
pub use self::delta::DeltaFlags;
pub use self::form::Form;
pub use self::parse::{Parsed, parse};
pub use self::repository::{BackupMark, RepositoryCommand, run_repository_command};
pub use self::seg::{Seg, run_seg};
pub use self::signals::{block_on, cancel_on_signals};
use crate::error::{self, Error, Result};
use crate::logs;

/// WAL-G's exit code for a log file that is not in the archive; any other failure is 1.
pub const EXIT_NOT_ARCHIVED: u8 = 74;

/// Loads the settings and installs the log that they ask for. `flags`: settings given on the command line.
pub fn load_settings(config: Option<PathBuf>, flags: Vec<(String, String)>, kind: Kind) -> Result<Settings> {
    let request = Request { config, flags, kind };
    let settings = Settings::load(&request, &|name| std::env::var(name).ok())?;
    logs::install_from(&|name| settings.get(name).map(str::to_owned))?;
    for warning in settings.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(settings)
}

/// Prints an error where it ends a command, with what to do about it, and returns the command's exit code.
pub fn report(error: &Error) -> ExitCode {
    if !logs::is_installed() {
        let _ = logs::install(logs::Level::Normal, &logs::Destination::Stderr);
    }
    if error.kind() == error::Kind::NotArchived {
        // How every recovery finds the end of the archive: nothing to be alarmed about.
        tracing::info!("{error}");
        return ExitCode::from(EXIT_NOT_ARCHIVED);
    }
    tracing::error!("{error}");
    if let Some(remedy) = error.remedy() {
        tracing::error!("{remedy}");
    }
    ExitCode::FAILURE
}
