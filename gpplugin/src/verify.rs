//! `verify_backup`: everything of a backup, read and compared with its integrity records.

use segment_agent::error::{Error, Result};

use crate::destination::absent;
use crate::directories::files_of;
use crate::key::{FileKey, backup_folder};
use crate::record;
use crate::restore;
use crate::session::Session;

/// One line a file. An error at the end if any file is damaged or cannot be proved.
pub fn run(session: &Session, timestamp: &str) -> Result<()> {
    let folder = backup_folder(timestamp)?;
    let files = files_of(session, &folder)?;
    if files.is_empty() {
        return Err(absent(&session.destination, &folder));
    }
    let mut damaged = 0;
    for file in &files {
        match check(session, file) {
            Ok(line) => println!("ok       {}  {line}", file.file),
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => {
                damaged += 1;
                println!("DAMAGED  {}  {error}", file.file);
            }
        }
    }
    if damaged == 0 {
        return Ok(());
    }
    let what =
        format!("{damaged} of {} files of backup {timestamp} cannot be restored as they were stored", files.len());
    Err(Error::refused(what, "use another backup, and keep this one for examination"))
}

fn check(session: &Session, file: &FileKey) -> Result<String> {
    let (object, record) = record::find(session, file)?;
    let Some(record) = record else {
        let what = "it has no integrity record: another plugin stored it";
        return Err(Error::refused(what, "it can be restored, but not be proved"));
    };
    restore::read(session, file, &object, Some(&record), |_| Ok(()))?;
    Ok(format!("{} bytes, stored {}", record.size, record.created.format("%Y-%m-%dT%H:%M:%SZ")))
}
