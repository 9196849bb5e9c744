//! `gpbackup_damson_plugin`: the storage plugin of gpbackup and gprestore.
//!
//! So far it answers `--version` and `--help` alone: no command of the plugin API is listed before it exists.

use std::process::ExitCode;

use clap::Parser;

/// Storage plugin of gpbackup and gprestore; this version has no commands yet.
#[derive(Debug, Parser)]
#[command(
    name = "gpbackup_damson_plugin",
    // gpbackup wants three words: name, `version`, number.
    version = concat!("version ", env!("CARGO_PKG_VERSION")),
    arg_required_else_help = true
)]
struct Arguments {}

fn main() -> ExitCode {
    match Arguments::try_parse() {
        Ok(Arguments {}) => ExitCode::FAILURE,
        Err(error) => {
            let _ = error.print();
            if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
    }
}
