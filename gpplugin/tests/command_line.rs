//! What gpbackup sees of the program before it uses it.

#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

fn run(argument: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gpbackup_damson_plugin")).args(argument).output().unwrap()
}

#[test]
fn the_version_is_three_words() {
    let output = run(&["--version"]);
    let line = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert_eq!(line, format!("gpbackup_damson_plugin version {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn help_promises_no_command() {
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    assert!(help.contains("gpbackup") && !help.contains("Commands:"), "{help}");
    for refused in [&[][..], &["backup_file"]] {
        let output = run(refused);
        assert_eq!(output.status.code(), Some(1), "{refused:?}");
        assert!(output.stdout.is_empty());
    }
}
