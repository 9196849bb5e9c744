//! `damson-pg`: backups of a single PostgreSQL server, over the same library that backs up the segments of a cluster.

mod arguments;

use std::path::PathBuf;
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
        Command::BackupPush { db_directory, permanent, add_user_data, delta } => {
            let wish = delta.wish(settings, permanent)?;
            let user_data = cli::user_data(add_user_data.as_deref().or(settings.get("WALG_SENTINEL_USER_DATA")))?;
            let pushed = cli::push_here(settings, db_directory, &wish, user_data, cancel).await?;
            tracing::info!("Wrote backup with name {} to storage default", pushed.backup_name);
        }
        Command::BackupFetch {
            destination_directory,
            backup_name,
            target_user_data,
            restore_only,
            restore_spec,
            ..
        } => {
            let user_data = target_user_data.as_deref().or(settings.get("WALG_FETCH_TARGET_USER_DATA"));
            let wanted = cli::wanted(backup_name.as_deref(), user_data)?;
            let spec: Option<PathBuf> = restore_spec;
            cli::fetch_here(settings, &wanted, destination_directory, &restore_only, spec.as_deref(), cancel).await?;
        }
        Command::Repository(command) => cli::run_repository_command(settings, None, &command, cancel).await?,
        Command::Delete(arguments) => cli::delete_here(settings, &arguments, cancel).await?,
        Command::WalPush { .. } | Command::WalFetch { .. } => {}
    }
    Ok(())
}
