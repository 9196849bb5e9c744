//! The log: a file in `~/gpAdminLogs`, where gpbackup keeps its own, one a day. Where it cannot be written there is none: a
//! backup does not fail for want of a log, and standard error is not ours to write to.

use std::path::PathBuf;

use segment_agent::logs::{self, Destination, Level};

pub fn install() {
    if let Some(path) = path() {
        let _ = logs::install(Level::Normal, &Destination::File(path));
    }
}

fn path() -> Option<PathBuf> {
    let folder = std::env::home_dir()?.join("gpAdminLogs");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join(format!("gpbackup_damson_plugin_{}.log", chrono::Local::now().format("%Y%m%d"))))
}
