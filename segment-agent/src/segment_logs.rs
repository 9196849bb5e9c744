//! The logs of single segments, `<WALG_GP_LOGS_DIR>/wal-g-log-seg<content>.log` on the segment's host: what a job tells of a segment,
//! appended line by line. They are for people; the journal is what counts.
//!
//! The default directory, /var/log, is seldom writable for the cluster's user: there a log that cannot be opened is left out in
//! silence. A directory that the settings name is warned of.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use formats::ContentId;
use formats::wire::Event;
use settings::Settings;

use crate::logs;
use crate::monitor::Sink;

const SETTING: &str = "WALG_GP_LOGS_DIR";

/// The coordinator's own log in the same directory.
const CLUSTER_LOG: &str = "wal-g-gplog.log";

/// Passes every event on to `sink`, and what a person would read to the log of its segment.
pub fn copied(settings: &Settings, contents: impl IntoIterator<Item = ContentId>, sink: Sink) -> Sink {
    let Some(dir) = settings.path(SETTING) else { return sink };
    let mut files = BTreeMap::new();
    for content in contents {
        match logs::open_log(&path_of(&dir, content)) {
            Ok(file) => drop(files.insert(content, file)),
            Err(error) if settings.explicit(SETTING) => {
                sink(Event::Warning { content: Some(content), text: format!("{error}; see {SETTING}") });
            }
            Err(_) => {}
        }
    }
    Arc::new(move |event| {
        write(&files, &event);
        sink(event);
    })
}

/// Copies the lines of this process, the coordinator, to the cluster's log. Only the first call has an effect.
pub fn copy_cluster_log(settings: &Settings) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let Some(dir) = settings.path(SETTING) else { return };
        if let Err(error) = logs::copy_to(&dir.join(CLUSTER_LOG))
            && settings.explicit(SETTING)
        {
            tracing::warn!("{error}; see {SETTING}");
        }
    });
}

fn path_of(dir: &Path, content: ContentId) -> PathBuf {
    dir.join(format!("wal-g-log-seg{content}.log"))
}

/// A line that cannot be written is lost.
fn write(files: &BTreeMap<ContentId, File>, event: &Event) {
    let (content, level, text) = match event {
        Event::Phase { content, text } => (content, "INFO", text.as_str()),
        Event::Warning { content: Some(content), text } => (content, "WARNING", text.as_str()),
        Event::SegmentDone { content, .. } => (content, "INFO", "done"),
        Event::SegmentFailed { content, error } => (content, "ERROR", error.message.as_str()),
        _ => return,
    };
    if let Some(mut file) = files.get(content) {
        let _ = writeln!(file, "{level}: {} {text}", logs::time());
    }
}
