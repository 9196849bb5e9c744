//! From words to arguments, the same way for every program.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

/// Arguments, and the settings that were given as flags of their own name (`--walg-file-prefix X`).
pub struct Parsed<A> {
    pub arguments: A,
    pub flags: Vec<(String, String)>,
}

/// Parses the command line. What is left to do otherwise (help, a version, a usage error) is printed, and the exit code given.
/// `database` is what a link named `wal-g` calls itself after.
pub fn parse<A: Parser>(database: &str) -> Result<Parsed<A>, ExitCode> {
    let (words, flags) = settings::split_flags(std::env::args_os());
    if asks_for_wal_g_version(&words) {
        println!("wal-g version {}\tdamson\tdevel\t{database}", env!("CARGO_PKG_VERSION"));
        return Err(ExitCode::SUCCESS);
    }
    match A::try_parse_from(words) {
        Ok(arguments) => Ok(Parsed { arguments, flags }),
        Err(error) => {
            let _ = error.print();
            Err(if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        }
    }
}

fn asks_for_wal_g_version(words: &[OsString]) -> bool {
    let [program, flag] = words else { return false };
    Path::new(program).file_name().is_some_and(|name| name == "wal-g") && (flag == "--version" || flag == "-v")
}
