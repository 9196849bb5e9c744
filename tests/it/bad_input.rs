//! What people get wrong: each is told with what, to what, why and what to do; exit status 1, nothing half-done is called
//! done, and the same command succeeds after the fix.

mod commands;
mod hosts;
mod preflight;
mod restore_configs;
mod settings;

use rig::{Output, Stand};

/// Nothing was begun: no backup is listed and no segment has anything but log files.
fn assert_no_backup(stand: &Stand) {
    let listed = stand.damson(&["backup-list", "--json"]).ok();
    assert_eq!(listed.stdout.trim(), "[]", "{}", listed.report());
}

/// Asserts exit status 1, the texts, that a remedy or a hint follows the first complaint, and that no success is claimed.
#[track_caller]
fn refused(output: Output, texts: &[&str]) -> Output {
    let output = output.fails(1, texts);
    for claim in ["Wrote backup", "segments are ready", "panicked"] {
        assert!(!output.stderr.contains(claim), "{}", output.report());
    }
    assert_eq!(output.stdout, "", "{}", output.report());
    output
}
