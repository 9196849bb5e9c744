//! Settings files of a restored server: reading and changing them as text. Every change is one atomic replacement, and the same
//! change made again changes nothing.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use formats::server::Archiving;
use settings::Settings;

use super::state::by_signal;
use super::{MARKER, Place};
use crate::data_dir::read_control;
use crate::error::{Error, Result};
use crate::work::prepare::{recovery_path, replace, setting_value};

/// What a data directory says about recovery.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RecoverySettingsFound {
    pub pending: bool,
    pub target_name: Option<String>,
    pub target_action: Option<String>,
}

/// Reads the recovery settings; `signal`: of a server that recovers by `recovery.signal`.
pub fn recovery_settings(settings: &Settings, data_dir: &Path, signal: bool) -> Result<RecoverySettingsFound> {
    let path = data_dir.join(recovery_path(settings, signal));
    let pending = if signal { data_dir.join("recovery.signal").exists() } else { path.exists() };
    // An old server renames the file when its recovery is over.
    let path = if signal || pending { path } else { data_dir.join("recovery.done") };
    let text = read_if_there(&path)?.unwrap_or_default();
    let value = |name| value_of(&text, name);
    Ok(RecoverySettingsFound {
        pending,
        target_name: value("recovery_target_name"),
        target_action: value("recovery_target_action"),
    })
}

/// The last value of a setting in the text of a settings file, without its quotes.
pub fn value_of(text: &str, name: &str) -> Option<String> {
    text.lines().rev().find_map(|line| assigned(line, name)).map(unquoted)
}

/// What stands behind `name =` in a line; the sign is optional, names are compared without case.
fn assigned<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let line = line.trim_start();
    let (found, rest) = line.split_at_checked(name.len())?;
    let separated = rest.starts_with(['=', ' ', '\t']);
    (found.eq_ignore_ascii_case(name) && separated).then(|| rest.trim_start().trim_start_matches('=').trim())
}

fn unquoted(value: &str) -> String {
    let Some(rest) = value.strip_prefix('\'') else {
        return value.split(['#', ' ', '\t']).next().unwrap_or_default().to_owned();
    };
    let mut text = String::new();
    let mut marks = rest.chars().peekable();
    while let Some(mark) = marks.next() {
        match mark {
            '\'' if marks.peek() == Some(&'\'') => text.extend(marks.next()),
            '\'' => break,
            other => text.push(other),
        }
    }
    text
}

/// The text with `name = value` as its only assignment of `name`, in the place of the last one, or at the end where there is none
/// and `add` says so; `None` if there is nothing to change.
fn with_value(text: &str, name: &str, value: &str, add: bool) -> Option<String> {
    let wanted = format!("{name} = {value}");
    let last = text.lines().enumerate().filter(|(_, line)| assigned(line, name).is_some()).last();
    let mut lines: Vec<&str> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if last.is_some_and(|(last, _)| last == number) {
            lines.push(&wanted);
        } else if assigned(line, name).is_none() {
            lines.push(line);
        }
    }
    match last {
        None if !add => return None,
        None => lines.push(&wanted),
        Some(_) => {}
    }
    let unchanged = text.lines().eq(lines.iter().copied());
    (!unchanged).then(|| lines.join("\n") + "\n")
}

/// Makes the server's own files fit its new place: its port; no replica that a commit would wait for; no archiving, if it is to be off.
pub fn adapt(place: &Place<'_>, archiving: Archiving) -> Result<()> {
    let dir = &place.target.data_dir;
    let main = dir.join(place.settings.get("WALG_GP_RELATIVE_POSTGRESQL_CONF_PATH").unwrap_or("postgresql.conf"));
    let auto = dir.join("postgresql.auto.conf");
    let port = place.target.port.to_string();
    change(&main, |text| with_value(text, "port", &port, true))?;
    change(&auto, |text| with_value(text, "port", &port, false))?;
    for path in [&main, &auto] {
        change(path, |text| with_value(text, "synchronous_standby_names", "''", false))?;
    }
    if archiving == Archiving::Off {
        change(&auto, |text| with_value(text, "archive_mode", "off", true))?;
    }
    Ok(())
}

/// Notes that the server is started to recover and not to serve, and when its control file was written last before that.
pub fn mark(data_dir: &Path) -> Result<()> {
    replace(&data_dir.join(MARKER), &control_written(data_dir)?.to_string())
}

/// Whether the server has written its control file since it was last started to recover: what that file says is its word on
/// this start. True where there was no such start.
pub fn has_worked_since_start(data_dir: &Path) -> Result<bool> {
    let noted = read_if_there(&data_dir.join(MARKER))?;
    Ok(noted.is_none_or(|noted| control_written(data_dir).is_ok_and(|now| noted.trim() != now.to_string())))
}

/// Nanoseconds.
fn control_written(data_dir: &Path) -> Result<i128> {
    let path = data_dir.join("global/pg_control");
    let meta = std::fs::metadata(&path).map_err(|error| Error::file("reading", &path, error))?;
    Ok(i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()))
}

/// Takes away what concerned the recovery alone, so that a replica made of this server later does not stop at its restore point.
pub fn settle(place: &Place<'_>) -> Result<()> {
    let dir = &place.target.data_dir;
    if by_signal(&read_control(dir)?) {
        let path = dir.join(recovery_path(place.settings, true));
        change(&path, |text| {
            let kept: Vec<&str> = text.lines().filter(|line| !is_recovery_setting(line)).collect();
            let kept = if kept.is_empty() { String::new() } else { kept.join("\n") + "\n" };
            (kept != text).then_some(kept)
        })?;
    }
    remove_if_there(&dir.join(MARKER))
}

fn is_recovery_setting(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("recovery_target") || assigned(line, "restore_command").is_some()
}

/// Sets the action at the restore point, in place of any that is there.
pub fn set_recovery_action(place: &Place<'_>, action: &str) -> Result<()> {
    let dir = &place.target.data_dir;
    let path = dir.join(recovery_path(place.settings, by_signal(&read_control(dir)?)));
    if read_if_there(&path)?.is_none_or(|text| value_of(&text, "recovery_target_name").is_none()) {
        let what = format!("{} holds no recovery settings", path.display());
        let remedy = "prepare the recovery first: backup-fetch --mode prepare, or follow-primary";
        return Err(Error::refused(what, remedy));
    }
    change(&path, |text| with_value(text, "recovery_target_action", &setting_value(action), true))
}

/// Replaces a file by what `change` makes of it, unless that is nothing or there is no such file.
fn change(path: &Path, change: impl FnOnce(&str) -> Option<String>) -> Result<()> {
    let Some(text) = read_if_there(path)? else { return Ok(()) };
    match change(&text) {
        Some(new) => replace(path, &new),
        None => Ok(()),
    }
}

fn read_if_there(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file("reading", path, error)),
    }
}

pub fn remove_if_there(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file("removing", path, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_servers_read_them() {
        let text = "Port 5432\nport=6000 # ours\n#port = 7\nrecovery_target_name = 'it''s'\nportal = 9\n";
        assert_eq!(value_of(text, "port").as_deref(), Some("6000"));
        assert_eq!(value_of(text, "recovery_target_name").as_deref(), Some("it's"));
        assert_eq!(value_of(text, "restore_command"), None);
        assert_eq!(value_of("port", "port"), None);
        assert_eq!(value_of("x = 'open", "x").as_deref(), Some("open"));
    }

    #[test]
    fn one_assignment_is_left_and_nothing_else_changes() {
        let text = "a = 1\nport = 5\n# port = 8\nport=6\nb = 2";
        let new = with_value(text, "port", "7", true).unwrap();
        assert_eq!(new, "a = 1\n# port = 8\nport = 7\nb = 2\n");
        assert_eq!(with_value(&new, "port", "7", true), None);
        assert_eq!(with_value("a = 1\n", "port", "7", true).unwrap(), "a = 1\nport = 7\n");
        assert_eq!(with_value("a = 1\n", "port", "7", false), None);
    }

    #[test]
    fn recovery_settings_are_told_from_others() {
        for line in ["recovery_target_name = 'x'", " recovery_target_timeline = latest", "restore_command='x'"] {
            assert!(is_recovery_setting(line), "{line}");
        }
        for line in ["", "# recovery_target_name = 'x'", "restore_commands = 1", "recovery_min_apply_delay = 1"] {
            assert!(!is_recovery_setting(line), "{line}");
        }
    }
}
