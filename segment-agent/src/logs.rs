//! Log lines as WAL-G prints them: `INFO: 2026/11/21 08:05:47.123456 text key=value`, in local time.
//!
//! Lines go to stderr or are appended to a file, and to a second file where one is named; stdout is data. Other people's packages are heard when they warn, and in
//! `DEVEL` also when they inform.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

use crate::error::{Error, Result};

/// First parts of the module paths of our packages.
const OWN: [&str; 13] = [
    "codec",
    "coordinator",
    "damson",
    "damson_agent",
    "damson_pg",
    "formats",
    "gpbackup_damson_plugin",
    "pgclient",
    "pgdata",
    "restore_configs",
    "segment_agent",
    "settings",
    "storage",
];

/// `WALG_LOG_LEVEL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Errors, warnings, information.
    Normal,
    /// Debug lines too.
    Devel,
    /// Errors only.
    Error,
}

impl Level {
    /// `NORMAL`, `DEVEL` or `ERROR`.
    pub fn from_setting(text: &str) -> Result<Self> {
        match text {
            "NORMAL" => Ok(Self::Normal),
            "DEVEL" => Ok(Self::Devel),
            "ERROR" => Ok(Self::Error),
            _ => Err(Error::refused(
                format!("WALG_LOG_LEVEL={text:?} is no log level"),
                "set it to NORMAL, DEVEL or ERROR",
            )),
        }
    }

    /// What is shown of our own lines, and of those of other packages.
    fn limits(self) -> (LevelFilter, LevelFilter) {
        match self {
            Self::Normal => (LevelFilter::INFO, LevelFilter::WARN),
            Self::Devel => (LevelFilter::DEBUG, LevelFilter::INFO),
            Self::Error => (LevelFilter::ERROR, LevelFilter::ERROR),
        }
    }
}

/// `WALG_LOG_DESTINATION`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    Stderr,
    /// Lines are appended; the file is created with mode 0644.
    File(PathBuf),
}

impl Destination {
    /// A path, or `stderr`.
    pub fn from_setting(text: &str) -> Self {
        match text {
            "" | "stderr" => Self::Stderr,
            path => Self::File(PathBuf::from(path)),
        }
    }

    fn writer(&self) -> Result<BoxMakeWriter> {
        match self {
            Self::Stderr => Ok(BoxMakeWriter::new(|| Copying(std::io::stderr()))),
            Self::File(path) => {
                let file = Arc::new(open_log(path)?);
                Ok(BoxMakeWriter::new(move || Copying(file.clone())))
            }
        }
    }
}

/// Opens (or makes, with mode 0644) a file that lines are appended to.
pub fn open_log(path: &Path) -> Result<File> {
    let opened = OpenOptions::new().append(true).create(true).mode(0o644).open(path);
    opened.map_err(|source| Error::file("opening the log file", path, source))
}

static COPY: OnceLock<File> = OnceLock::new();

/// From now on every line of this process is appended to `path` too. Only the first call has an effect.
pub fn copy_to(path: &Path) -> Result<()> {
    let file = open_log(path)?;
    let _ = COPY.set(file);
    Ok(())
}

/// Writes to the destination and to the copy. A copy that cannot be written is no reason to lose the line.
struct Copying<W>(W);

impl<W: Write> Write for Copying<W> {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        if let Some(mut copy) = COPY.get() {
            let _ = copy.write_all(line);
        }
        self.0.write_all(line).map(|()| line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// Installs the logs of this process, as `WALG_LOG_LEVEL` and `WALG_LOG_DESTINATION` say.
pub fn install_from(setting: &dyn Fn(&str) -> Option<String>) -> Result<()> {
    let level = setting("WALG_LOG_LEVEL").filter(|text| !text.is_empty());
    let level = level.map_or(Ok(Level::Normal), |text| Level::from_setting(&text))?;
    let destination = Destination::from_setting(&setting("WALG_LOG_DESTINATION").unwrap_or_default());
    install(level, &destination)
}

/// Installs the logs of this process. Only the first call has an effect.
pub fn install(level: Level, destination: &Destination) -> Result<()> {
    let _ = tracing::subscriber::set_global_default(subscriber(level, destination)?);
    Ok(())
}

/// True once the logs of this process are installed.
pub fn is_installed() -> bool {
    tracing::dispatcher::has_been_set()
}

fn subscriber(level: Level, destination: &Destination) -> Result<impl Subscriber + Send + Sync + use<>> {
    let (own, other) = level.limits();
    let is_shown = move |metadata: &Metadata<'_>| {
        let package = metadata.target().split("::").next().unwrap_or_default();
        *metadata.level() <= if OWN.contains(&package) { own } else { other }
    };
    let lines =
        tracing_subscriber::fmt::layer().event_format(WalgLine).with_ansi(false).with_writer(destination.writer()?);
    Ok(tracing_subscriber::registry().with(filter_fn(is_shown).with_max_level_hint(own)).with(lines))
}

/// Local time as it stands in a line.
pub fn time() -> impl fmt::Display {
    chrono::Local::now().format("%Y/%m/%d %H:%M:%S%.6f")
}

/// One event as one line.
struct WalgLine;

impl<S, N> FormatEvent<S, N> for WalgLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let level = match *event.metadata().level() {
            tracing::Level::ERROR => "ERROR",
            tracing::Level::WARN => "WARNING",
            tracing::Level::INFO => "INFO",
            tracing::Level::DEBUG | tracing::Level::TRACE => "DEBUG",
        };
        write!(line, "{level}: {} ", time())?;
        context.field_format().format_fields(line.by_ref(), event)?;
        for span in context.event_scope().into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>().filter(|fields| !fields.is_empty()) {
                write!(line, " {fields}")?;
            }
        }
        writeln!(line)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn lines_of(level: Level, path: &Path) -> Vec<String> {
        let subscriber = subscriber(level, &Destination::File(path.to_owned())).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let _span = tracing::info_span!("push", content_id = 3).entered();
            tracing::debug!("looked");
            tracing::info!(path = %"/a b", count = 2, "read {}", "it");
            tracing::warn!("odd");
            tracing::error!("broken");
            tracing::info!(target: "hyper::client", "theirs");
            tracing::warn!(target: "hyper::client", "their warning");
        });
        std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_looks_as_wal_g_prints_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let lines = lines_of(Level::Normal, &path);
        let texts: Vec<String> = lines.iter().map(|line| without_time(line)).collect();
        assert_eq!(
            texts,
            [
                "INFO: TIME read it path=/a b count=2 content_id=3",
                "WARNING: TIME odd content_id=3",
                "ERROR: TIME broken content_id=3",
                "WARNING: TIME their warning content_id=3",
            ]
        );
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o133, 0);
    }

    #[test]
    fn levels_choose_lines_and_files_grow() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        assert_eq!(lines_of(Level::Error, &path).len(), 1);
        let devel = lines_of(Level::Devel, &path);
        assert_eq!(devel.len(), 7);
        assert!(devel[1].starts_with("DEBUG: "));
    }

    #[test]
    fn settings_are_checked() {
        assert_eq!(Level::from_setting("DEVEL").unwrap(), Level::Devel);
        assert!(Level::from_setting("LOUD").unwrap_err().to_string().contains("LOUD"));
        assert_eq!(Destination::from_setting("stderr"), Destination::Stderr);
        let nowhere = Destination::File("/nonexistent/log".into());
        assert!(install(Level::Normal, &nowhere).unwrap_err().to_string().contains("/nonexistent/log"));
    }

    /// Checks the form of the time and leaves it out.
    fn without_time(line: &str) -> String {
        let (level, rest) = line.split_once(": ").unwrap();
        let (time, text) = rest.split_at("2026/11/21 08:05:47.123456".len());
        chrono::NaiveDateTime::parse_from_str(time, "%Y/%m/%d %H:%M:%S%.6f").unwrap();
        format!("{level}: TIME{text}")
    }
}
