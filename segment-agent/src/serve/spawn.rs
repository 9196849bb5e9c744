//! Starting the process of a job so that it outlives the connection that started it.

use std::process::{Command, Stdio};

use super::job_directory::JobDirectory;
use super::state_directory::create_private;
use crate::error::{Error, Result};

/// Starts `damson-agent job <directory>`, which makes a session of its own at once. It holds none of this process's
/// streams, so that the connection can end. Nobody waits for it: its end shows in its lock, and init reaps it.
pub fn spawn_detached(job: &JobDirectory) -> Result<()> {
    let program = std::env::current_exe().map_err(|source| Error::file("locating", "damson-agent", source))?;
    let log = job.log_path();
    let stderr = create_private(&log, false).map_err(|source| Error::file("creating", &log, source))?;
    let mut command = Command::new(&program);
    command.arg("job").arg(job.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    command.spawn().map(drop).map_err(|source| Error::file("starting", &program, source))
}
