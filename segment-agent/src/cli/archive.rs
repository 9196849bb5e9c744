//! `wal-push` and `wal-fetch`: started by the server once per file, so they start nothing that the file does not need.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use formats::ContentId;
use settings::Settings;

use crate::bridge::Driver;
use crate::error::{Error, Result};
use crate::repository::Repository;
use crate::wal;

/// One call of an archive command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArchiveCommand {
    /// Store the file at this path.
    Push(PathBuf),
    /// Write an archived file to a path.
    Fetch { name: String, destination: PathBuf },
}

/// Runs an archive command for a segment of a cluster, or for a single server.
pub fn run_archive_command(settings: &Settings, content: Option<ContentId>, command: &ArchiveCommand) -> ExitCode {
    match run(settings, content, command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => super::report(&error),
    }
}

fn run(settings: &Settings, content: Option<ContentId>, command: &ArchiveCommand) -> Result<()> {
    let whole = Repository::open(settings)?;
    let repository = content.map_or_else(|| whole.clone(), |content| whole.segment(content));
    if repository.store().is_local() {
        return carry_out(settings, &repository, &Driver::Local, command);
    }
    // One thread of the runtime serves the network while this one works.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| Error::file("starting", "the runtime", error))?;
    carry_out(settings, &repository, &Driver::Runtime(runtime.handle().clone()), command)
}

fn carry_out(settings: &Settings, repository: &Repository, driver: &Driver, command: &ArchiveCommand) -> Result<()> {
    match command {
        ArchiveCommand::Push(path) => push(settings, repository, driver, path),
        ArchiveCommand::Fetch { name, destination } => {
            wal::fetch(repository, driver, name, destination)?;
            tracing::debug!("fetched {name}");
            Ok(())
        }
    }
}

fn push(settings: &Settings, repository: &Repository, driver: &Driver, path: &Path) -> Result<()> {
    let options = wal::PushOptions { prevent_overwrite: settings.bool("WALG_PREVENT_WAL_OVERWRITE")? };
    match wal::push(repository, driver, path, options)? {
        wal::Pushed::Stored => tracing::info!("FILE PATH: {} is archived", path.display()),
        wal::Pushed::Same => tracing::info!("{} is archived already with the same content", path.display()),
    }
    Ok(())
}
