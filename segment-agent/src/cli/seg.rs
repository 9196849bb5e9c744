//! `seg`: what a segment's server calls, and what a person does with the backups of one segment.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use formats::ContentId;
use settings::Settings;

use super::repository::{RepositoryCommand, run_repository_command};
use super::{ArchiveCommand, block_on, run_archive_command};
use crate::error::{Error, Result};

/// Commands of one segment: its log files and its backups
#[derive(Debug, Args)]
pub struct Seg {
    /// Content id of the segment, -1 for the coordinator; WALG_GP_SEG_CONTENT_ID is used where this is absent
    #[arg(long, global = true, value_name = "N", allow_hyphen_values = true)]
    content_id: Option<String>,

    #[command(subcommand)]
    command: SegCommand,
}

#[derive(Debug, Subcommand)]
enum SegCommand {
    /// Archive a log file: archive_command = 'damson seg wal-push %p --content-id=N --config FILE'
    WalPush {
        /// Path of the file
        wal_filepath: PathBuf,
    },
    /// Fetch an archived log file: restore_command = 'damson seg wal-fetch %f %p --content-id=N --config FILE'; exit code 74 if
    /// there is none
    WalFetch {
        /// Name of the file
        wal_name: String,
        /// Where to write it; must not exist
        destination_filename: PathBuf,
    },
    #[command(flatten)]
    Repository(RepositoryCommand),
}

/// Runs the command for its segment. Archive commands start nothing that they do not need: the server waits for them.
pub fn run_seg(settings: &Settings, seg: &Seg) -> ExitCode {
    let content = match content_id(settings, seg) {
        Ok(content) => content,
        Err(error) => return super::report(&error),
    };
    let command = match &seg.command {
        SegCommand::WalPush { wal_filepath } => ArchiveCommand::Push(wal_filepath.clone()),
        SegCommand::WalFetch { wal_name, destination_filename } => {
            ArchiveCommand::Fetch { name: wal_name.clone(), destination: destination_filename.clone() }
        }
        SegCommand::Repository(command) => {
            let work = async |cancel| run_repository_command(settings, Some(content), command, &cancel).await;
            return block_on(work).map_or_else(|error| super::report(&error), |()| ExitCode::SUCCESS);
        }
    };
    run_archive_command(settings, Some(content), &command)
}

impl Seg {
    /// A settings file that stands in for that of `--config`.
    pub fn own_config(&self) -> Option<&Path> {
        match &self.command {
            SegCommand::Repository(command) => command.own_config(),
            _ => None,
        }
    }
}

fn content_id(settings: &Settings, seg: &Seg) -> Result<ContentId> {
    let remedy = "add --content-id=N with the content id of the segment (-1 for the coordinator)";
    let Some(text) = seg.content_id.as_deref().or(settings.get("WALG_GP_SEG_CONTENT_ID")) else {
        let what =
            "segment content ID is not specified, add the --content-id flag or use the WALG_GP_SEG_CONTENT_ID setting";
        return Err(Error::refused(what, remedy));
    };
    text.trim()
        .parse()
        .map(ContentId)
        .map_err(|_| Error::refused(format!("the content id {text:?} is no number"), remedy))
}
