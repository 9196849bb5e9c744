//! `damson`: backs up and restores a Greenplum cluster.

mod arguments;
mod cluster;
mod commands;
mod error;
mod session;

use std::process::ExitCode;

use segment_agent::cli::{self, Parsed};
use settings::Kind;

use crate::arguments::{Arguments, Command};
use crate::error::{Error, Result};
use crate::session::Session;

fn main() -> ExitCode {
    let Parsed { arguments, flags } = match cli::parse::<Arguments>("GreenplumDB") {
        Ok(parsed) => parsed,
        Err(exit) => return exit,
    };
    let settings = match cli::load_settings(arguments.config(), flags, Kind::Greenplum) {
        Ok(settings) => settings,
        Err(error) => return cli::report(&error),
    };
    if let Command::Seg(seg) = &arguments.command {
        // The server waits for these: nothing is started that they do not need.
        return cli::run_seg(&settings, seg);
    }
    match run(Session::new(settings), arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

fn run(session: Result<Session>, command: Command) -> Result<()> {
    let session = session?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|source| Error::Local { doing: "starting the runtime", source })?;
    let done = runtime.block_on(async {
        let watcher = tokio::spawn(cli::cancel_on_signals(session.cancel.clone()));
        let done = dispatch(&session, command).await;
        watcher.abort();
        done
    });
    runtime.shutdown_background();
    done
}

async fn dispatch(session: &Session, command: Command) -> Result<()> {
    match command {
        Command::BackupPush(arguments) => commands::backup_push::run(session, arguments).await,
        Command::BackupFetch(arguments) => commands::backup_fetch::run(session, arguments).await,
        Command::BackupList(arguments) => commands::backup_list::run(session, &arguments).await,
        Command::BackupMark(arguments) => commands::backup_mark::run(session, &arguments).await,
        Command::RestorePointList(arguments) => commands::restore_point_list::run(session, &arguments).await,
        Command::CreateRestorePoint(arguments) => commands::create_restore_point::run(session, &arguments).await,
        Command::CheckAoAocsLength(arguments) => commands::check_ao_length::run(session, &arguments).await,
        Command::CheckAoAocsLengthSegment(arguments) => {
            commands::check_ao_length::run_segment(session, &arguments).await
        }
        Command::Copy(arguments) => commands::copy::run(session, &arguments).await,
        Command::BackupVerify(arguments) => commands::backup_verify::run(session, arguments).await,
        Command::Check(arguments) => commands::check::run(session, arguments).await,
        Command::Status(arguments) => commands::status::run(session, arguments).await,
        Command::Metrics(arguments) => commands::metrics::run(session, arguments).await,
        Command::Delete(arguments) => commands::delete::run(session, arguments).await,
        Command::ClusterStart(arguments) => commands::cluster_start::run(session, arguments).await,
        Command::FollowPrimary(arguments) => commands::follow_primary::run(session, arguments).await,
        Command::RecoveryAction(arguments) => commands::recovery_action::run(session, arguments).await,
        Command::Drill(arguments) => commands::drill::run(session, arguments).await,
        Command::Hosts(arguments) => commands::hosts::run(session, arguments).await,
        Command::Seg(_) => Ok(()),
    }
}
