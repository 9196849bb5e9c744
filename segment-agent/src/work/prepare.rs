//! Settings of a restored server: who may connect, and how it recovers.
//!
//! Servers before PostgreSQL 12 read `recovery.conf`; later ones refuse to start beside such a file, and want
//! `recovery.signal` and ordinary settings. Every file is replaced atomically, and a second run changes nothing.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use formats::wire::{RecoverySettings, SegmentTarget};
use settings::Settings;

use crate::error::{Error, Result};

/// Where the recovery settings of servers from 12 on go, unless WALG_GP_RELATIVE_RECOVERY_CONF_PATH names another place.
const RECOVERY_SETTINGS: &str = "damson.recovery.conf";

pub fn prepare(
    settings: &Settings,
    target: &SegmentTarget,
    recovery: &RecoverySettings,
    pg_hba: Option<&str>,
) -> Result<()> {
    if !target.data_dir.join("PG_VERSION").exists() {
        let what = format!("{} holds no restored data directory", target.data_dir.display());
        return Err(Error::refused(what, "unpack the backup first: backup-fetch --mode unpack"));
    }
    crate::fetch::forget_finished(&target.data_dir)?;
    if let Some(pg_hba) = pg_hba {
        replace(&target.data_dir.join("pg_hba.conf"), pg_hba)?;
    }
    let relative = recovery_path(settings, recovery.signal_file);
    let path = target.data_dir.join(&relative);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|error| Error::file("creating the directory", parent, error))?;
    }
    replace(&path, &recovery_text(settings, target, recovery)?)?;
    if recovery.signal_file {
        let main =
            target.data_dir.join(settings.get("WALG_GP_RELATIVE_POSTGRESQL_CONF_PATH").unwrap_or("postgresql.conf"));
        include(&main, &relative)?;
        replace(&target.data_dir.join("recovery.signal"), "")?;
    }
    Ok(())
}

/// The name `recovery.conf` itself is taken only for servers that read it.
pub fn recovery_path(settings: &Settings, signal_file: bool) -> PathBuf {
    let set = settings.get("WALG_GP_RELATIVE_RECOVERY_CONF_PATH").unwrap_or("recovery.conf");
    let forbidden = signal_file && Path::new(set) == Path::new("recovery.conf");
    PathBuf::from(if forbidden { RECOVERY_SETTINGS } else { set })
}

fn recovery_text(settings: &Settings, target: &SegmentTarget, recovery: &RecoverySettings) -> Result<String> {
    let program = std::env::current_exe().map_err(|error| Error::file("finding", "this program", error))?;
    let config = settings.config_path().unwrap_or(Path::new(""));
    let command = format!(
        "{} seg wal-fetch \"%f\" \"%p\" --content-id={} --config {}",
        shell_word(&program.to_string_lossy()),
        target.content.0,
        shell_word(&config.to_string_lossy())
    );
    let mut text = format!("restore_command = {}\n", setting_value(&command));
    text += &format!("recovery_target_name = {}\n", setting_value(&recovery.target_name));
    text += "recovery_target_timeline = latest\n";
    if let Some(action) = &recovery.target_action {
        text += &format!("recovery_target_action = {}\n", setting_value(action));
    }
    Ok(text)
}

/// A value of a PostgreSQL settings file: in single quotes, which are doubled inside.
pub fn setting_value(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A word of a restore_command: `%` is the server's own escape, the rest is quoted for the shell where it needs to be.
fn shell_word(text: &str) -> String {
    let text = text.replace('%', "%%");
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%,".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// Appends an include line unless it is there.
fn include(main: &Path, relative: &Path) -> Result<()> {
    let line = format!("include_if_exists = {}", setting_value(&relative.to_string_lossy()));
    let text = std::fs::read_to_string(main).map_err(|error| Error::file("reading", main, error))?;
    if text.lines().any(|present| present.trim() == line) {
        return Ok(());
    }
    let separator = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    replace(main, &format!("{text}{separator}{line}\n"))
}

/// Writes under a temporary name, flushes, renames, flushes the directory.
pub fn replace(path: &Path, text: &str) -> Result<()> {
    let fail = |error| Error::file("writing", path, error);
    let temporary = path.with_extension("damson-new");
    let mut file = File::create(&temporary).map_err(fail)?;
    file.set_permissions(Permissions::from_mode(0o600)).map_err(fail)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(fail)?;
    std::fs::rename(&temporary, path).map_err(fail)?;
    let directory = path.parent().unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(fail)
}

#[cfg(test)]
mod tests {
    use formats::ContentId;
    use settings::{Kind, Request};

    use super::*;

    fn prepared(signal_file: bool, times: usize) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("PG_VERSION"), "15\n").unwrap();
        std::fs::write(dir.path().join("postgresql.conf"), "port = 1").unwrap();
        let config = dir.path().join("config it.yaml");
        std::fs::write(&config, "WALG_FILE_PREFIX: /x\n").unwrap();
        let request = Request { config: Some(config), flags: Vec::new(), kind: Kind::Greenplum };
        let settings = Settings::load(&request, &|_| None).unwrap();
        let target = SegmentTarget { content: ContentId(2), port: 1, data_dir: dir.path().to_owned() };
        let action = signal_file.then(|| "promote".to_owned());
        let recovery = RecoverySettings { target_name: "it's".to_owned(), target_action: action, signal_file };
        for _ in 0..times {
            prepare(&settings, &target, &recovery, Some("local all all trust\n")).unwrap();
        }
        dir
    }

    #[test]
    fn old_servers_get_recovery_conf_alone() {
        let dir = prepared(false, 1);
        let text = std::fs::read_to_string(dir.path().join("recovery.conf")).unwrap();
        assert!(text.contains("recovery_target_name = 'it''s'\n") && !text.contains("recovery_target_action"));
        assert!(text.contains("seg wal-fetch \"%f\" \"%p\" --content-id=2 --config ''"), "{text}");
        assert!(!dir.path().join("recovery.signal").exists());
    }

    #[test]
    fn new_servers_get_a_signal_and_one_include_line() {
        let dir = prepared(true, 2);
        assert!(dir.path().join("recovery.signal").exists() && !dir.path().join("recovery.conf").exists());
        let main = std::fs::read_to_string(dir.path().join("postgresql.conf")).unwrap();
        assert_eq!(main, "port = 1\ninclude_if_exists = 'damson.recovery.conf'\n");
    }
}
