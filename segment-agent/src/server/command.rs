//! The commands that start and stop a server: settings with placeholders, so that any installation can say how it is done.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use formats::DbId;
use formats::server::{Purpose, Source};
use pgdata::ControlFile;
use settings::Settings;
use tokio::process::Command;

use super::state::by_signal;
use super::{Place, log};
use crate::error::{Error, Result};

const START: &str = "DAMSON_START_COMMAND";
const STOP: &str = "DAMSON_STOP_COMMAND";
const SEED: &str = "DAMSON_SEED_COMMAND";

/// How long starting and stopping may take, recovery not counted, unless DAMSON_START_TIMEOUT says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

/// What an installation of Greenplum or Cloudberry wants to be read before its programs are run.
const ENVIRONMENT_FILES: [&str; 3] = ["greenplum_path.sh", "cloudberry-env.sh", "greengage_path.sh"];

pub fn timeout(settings: &Settings) -> Result<Duration> {
    Ok(settings.duration("DAMSON_START_TIMEOUT")?.unwrap_or(DEFAULT_TIMEOUT))
}

/// Options of the server program that say what it is to be, by release: Greenplum 6 takes `-E` for a coordinator that is to
/// dispatch, later ones a gp_role. A coordinator that recovers is in utility mode, so that it leaves other hosts alone.
pub fn role_options(control: &ControlFile, coordinator: bool, purpose: Purpose) -> &'static str {
    match (by_signal(control), coordinator, purpose) {
        (_, true, Purpose::Recovery | Purpose::Follow) => "-c gp_role=utility",
        (true, true, Purpose::Service) => "-c gp_role=dispatch",
        (true, false, _) => "-c gp_role=execute",
        (false, true, Purpose::Service) => "-E",
        (false, false, _) => "",
    }
}

/// Runs DAMSON_START_COMMAND to its end; the server goes on without it.
pub async fn run_start(place: &Place<'_>, role: &str) -> Result<()> {
    run(place, START, role).await
}

/// Runs DAMSON_STOP_COMMAND to its end.
pub async fn run_stop(place: &Place<'_>) -> Result<()> {
    run(place, STOP, "").await
}

async fn run(place: &Place<'_>, name: &'static str, role: &str) -> Result<()> {
    let limit = timeout(place.settings)?;
    let script = script(place, place.settings.get(name).unwrap_or_default(), role, limit);
    // A process group of its own: what ends the agent's job does not end the server. The log takes the output, because a
    // server that holds a pipe of ours would keep it open.
    let log = std::fs::File::options().create(true).append(true).open(log::start_log(&place.target.data_dir));
    let log = log.map_err(|error| Error::file("opening the log in", &place.target.data_dir, error))?;
    let second = log.try_clone().map_err(|error| Error::file("opening the log in", &place.target.data_dir, error))?;
    let mut command = Command::new("bash");
    command.arg("-c").arg(&script).current_dir("/").process_group(0);
    command.stdin(Stdio::null()).stdout(log).stderr(second);
    let fail = |why: String| {
        let what = format!("{name} failed: {script}: {why}; {}", log::tail(&place.target.data_dir));
        Error::refused(what, "remove the cause, then run the same command again")
    };
    let mut child = command.spawn().map_err(|error| fail(error.to_string()))?;
    let status = tokio::select! {
        status = tokio::time::timeout(limit, child.wait()) => status,
        () = place.cancel.cancelled() => return Err(Error::Cancelled),
    };
    match status {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(fail(status.to_string())),
        Ok(Err(error)) => Err(fail(error.to_string())),
        Err(_) => Err(fail(format!("it took more than {} s", limit.as_secs()))),
    }
}

/// What a copy is made of, and where.
pub struct Seeding<'a> {
    pub data_dir: &'a Path,
    pub source: &'a Source,
    /// The new server's.
    pub db_id: DbId,
    pub slot: &'a str,
    /// The program checks pages unless it is told not to (PostgreSQL 11 and later); the files of append-optimized tables have none.
    pub verifies_checksums: bool,
}

/// DAMSON_SEED_COMMAND, not yet run. It is a process group of its own, and what it says can be read.
pub fn seed(place: &Place<'_>, seeding: &Seeding<'_>) -> Result<Command> {
    let unchecked = if seeding.verifies_checksums { " --no-verify-checksums" } else { "" };
    let values = [
        ("{pg_basebackup}", program(place, "pg_basebackup")),
        ("{data_dir}", quoted(&seeding.data_dir.to_string_lossy())),
        ("{from_host}", quoted(&seeding.source.hostname)),
        ("{from_port}", seeding.source.port.to_string()),
        ("{user}", quoted(place.options()?.user())),
        ("{slot}", quoted(seeding.slot)),
        ("{content}", place.target.content.to_string()),
        ("{release}", format!("--target-gp-dbid {}{unchecked}", seeding.db_id.0)),
    ];
    let script = filled(place.settings.get(SEED).unwrap_or_default(), &values);
    let mut command = Command::new("bash");
    command.arg("-c").arg(in_environment(place, script)).current_dir("/").process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    Ok(command)
}

/// A program of the installation, as a word of a shell command.
fn program(place: &Place<'_>, name: &str) -> String {
    let home = place.settings.path("GPHOME");
    quoted(&home.map_or_else(|| name.into(), |home| home.join("bin").join(name)).to_string_lossy())
}

/// The command after what the installation wants to be read first.
fn in_environment(place: &Place<'_>, command: String) -> String {
    let home = place.settings.path("GPHOME");
    let file = home.iter().flat_map(|home| ENVIRONMENT_FILES.map(|name| home.join(name))).find(|path| path.exists());
    match file {
        Some(file) => format!(". {} && {command}", quoted(&file.to_string_lossy())),
        None => command,
    }
}

/// The shell script that a setting stands for.
fn script(place: &Place<'_>, template: &str, role: &str, limit: Duration) -> String {
    let target = place.target;
    let values = [
        ("{pg_ctl}", program(place, "pg_ctl")),
        ("{data_dir}", quoted(&target.data_dir.to_string_lossy())),
        ("{log}", quoted(&log::start_log(&target.data_dir).to_string_lossy())),
        ("{port}", target.port.to_string()),
        ("{content}", target.content.to_string()),
        ("{role}", role.to_owned()),
        ("{timeout}", limit.as_secs().to_string()),
    ];
    in_environment(place, filled(template, &values))
}

/// The template with every placeholder replaced; a value is not searched for placeholders again.
fn filled(template: &str, values: &[(&str, String)]) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        match values.iter().find(|(name, _)| from.starts_with(name)) {
            Some((name, value)) => {
                text.push_str(value);
                rest = from.get(name.len()..).unwrap_or_default();
            }
            None => {
                text.push('{');
                rest = from.get(1..).unwrap_or_default();
            }
        }
    }
    text + rest
}

/// One word of a shell command.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_once() {
        let values = [("{a}", "{b}".to_owned()), ("{b}", "2".to_owned())];
        assert_eq!(filled("x {a} {b} {c} {", &values), "x {b} 2 {c} {");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn roles_of_every_release() {
        let mut control = ControlFile::parse(include_bytes!("../../pgdata/testdata/postgres15.pg_control")).unwrap();
        let roles = |control: &ControlFile| {
            let of = |coordinator, purpose| role_options(control, coordinator, purpose);
            [
                of(true, Purpose::Recovery),
                of(true, Purpose::Service),
                of(false, Purpose::Recovery),
                of(false, Purpose::Service),
            ]
        };
        let new = ["-c gp_role=utility", "-c gp_role=dispatch", "-c gp_role=execute", "-c gp_role=execute"];
        let old = ["-c gp_role=utility", "-E", "", ""];
        for (version, expected) in [(1300, new), (12_010_700, new), (13_000_700, new), (9_420_600, old)] {
            control.control_version = version;
            assert_eq!(roles(&control), expected, "{version}");
        }
    }
}
