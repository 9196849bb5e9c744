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
fn help_names_every_command_of_the_interface() {
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    let commands = [
        "setup_plugin_for_backup",
        "setup_plugin_for_restore",
        "cleanup_plugin_for_backup",
        "cleanup_plugin_for_restore",
        "backup_file",
        "restore_file",
        "backup_data",
        "restore_data",
        "restore_data_subset",
        "backup_directory",
        "restore_directory",
        "list_directory",
        "delete_directory",
        "delete_backup",
        "plugin_api_version",
    ];
    for command in commands {
        assert!(help.contains(&format!("\n  {command} ")), "{command}: {help}");
    }
}

#[test]
fn what_cannot_be_done_is_one_line_on_standard_error() {
    for refused in [&[][..], &["backup_file"], &["no_such_command"], &["backup_data", "/nonexistent.yaml", "/key"]] {
        let output = run(refused);
        assert_eq!(output.status.code(), Some(1), "{refused:?}");
        assert!(output.stdout.is_empty());
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(told.trim_end().lines().count(), 1, "{refused:?}: {told}");
    }
}
