//! `damson-pg`: backups of a single PostgreSQL server, over the same library that backs up the segments of a cluster.

mod arguments;

use std::process::ExitCode;

use segment_agent::cli::{self, ArchiveCommand, Parsed};
use segment_agent::error::Result;
use settings::{Kind, Settings};
use tokio_util::sync::CancellationToken;

use crate::arguments::{Arguments, Command};

fn main() -> ExitCode {
    let Parsed { arguments, flags } = match cli::parse::<Arguments>("PostgreSQL") {
        Ok(parsed) => parsed,
        Err(exit) => return exit,
    };
    let settings = match cli::load_settings(arguments.config, flags, Kind::Postgres) {
        Ok(settings) => settings,
        Err(error) => return cli::report(&error),
    };
    match archive_command(&arguments.command) {
        Some(command) => cli::run_archive_command(&settings, None, &command),
        None => run(&settings, arguments.command).map_or_else(|error| cli::report(&error), |()| ExitCode::SUCCESS),
    }
}

fn archive_command(command: &Command) -> Option<ArchiveCommand> {
    match command {
        Command::WalPush { wal_filepath } => Some(ArchiveCommand::Push(wal_filepath.clone())),
        Command::WalFetch { wal_name, destination_filename } => {
            Some(ArchiveCommand::Fetch { name: wal_name.clone(), destination: destination_filename.clone() })
        }
        _ => None,
    }
}

fn run(settings: &Settings, command: Command) -> Result<()> {
    cli::block_on(async |cancel| carry_out(settings, command, &cancel).await)
}

async fn carry_out(settings: &Settings, command: Command, cancel: &CancellationToken) -> Result<()> {
    match command {
        Command::Repository(command) => cli::run_repository_command(settings, None, &command, cancel).await,
        Command::Delete(arguments) => cli::delete_here(settings, &arguments, cancel).await,
        Command::WalPush { .. } | Command::WalFetch { .. } => Ok(()),
    }
}
