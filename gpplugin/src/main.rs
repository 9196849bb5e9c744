//! `gpbackup_damson_plugin`: the storage plugin of gpbackup and gprestore.
//!
//! The callers are strict: standard output holds data and nothing else, standard error stays empty unless the command fails
//! (gprestore hangs on chatter), and a failure is one line there and a non-zero exit. What is worth knowing besides goes to
//! `~/gpAdminLogs`.

mod arguments;
mod backup;
mod caller;
mod chunks;
mod config;
mod destination;
mod directories;
mod ending;
mod hooks;
mod key;
mod log;
mod record;
mod restore;
mod s3_options;
mod session;
mod stdin;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command};
use crate::session::Session;

/// What the plugin API calls its version: 0.4.0 added `delete_backup`, 0.5.0 is what current plugins answer.
const API_VERSION: &str = "0.5.0";

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if !error.use_stderr() => {
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => return fail(first_line(&error.to_string())),
    };
    if let Command::PluginApiVersion = arguments.command {
        println!("{API_VERSION}");
        return ExitCode::SUCCESS;
    }
    log::install();
    match run(&arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = match error.remedy() {
                Some(remedy) => format!("{error}; {remedy}"),
                None => error.to_string(),
            };
            tracing::error!("{}: {text}", arguments.command.name());
            fail(&format!("{}: {}", arguments.command.name(), text.replace('\n', " ")))
        }
    }
}

fn run(command: &Command) -> segment_agent::error::Result<()> {
    let session = Session::open(command.config())?;
    tracing::info!("{}: started", command.name());
    match command {
        Command::PluginApiVersion => Ok(()),
        Command::SetupPluginForBackup(hook) => hooks::setup_for_backup(&session, hook),
        Command::SetupPluginForRestore(hook) => hooks::setup_for_restore(&session, hook),
        Command::CleanupPluginForBackup(_) | Command::CleanupPluginForRestore(_) => Ok(()),
        Command::BackupFile(file) => backup::file(&session, &file.path),
        Command::RestoreFile(file) => restore::file(&session, &file.path),
        Command::BackupData(data) => backup::data(&session, &data.key),
        Command::RestoreData(data) => restore::data(&session, &data.key),
        Command::RestoreDataSubset(subset) => restore::subset(&session, &subset.key, &subset.offsets),
        Command::BackupDirectory(folder) => directories::backup(&session, &folder.path),
        Command::RestoreDirectory(folder) => directories::restore(&session, &folder.path),
        Command::ListDirectory(folder) => directories::list(&session, folder.prefix.as_deref().unwrap_or_default()),
        Command::DeleteDirectory(folder) => directories::delete(&session, &folder.prefix),
        Command::DeleteBackup(backup) => directories::delete_backup(&session, &backup.timestamp),
        Command::VerifyBackup(backup) => verify::run(&session, &backup.timestamp),
    }
}

fn fail(line: &str) -> ExitCode {
    eprintln!("gpbackup_damson_plugin: {line}");
    ExitCode::FAILURE
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default().trim_start_matches("error: ")
}
