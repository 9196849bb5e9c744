//! The files of one job: what its process and the connections to it know of each other.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use formats::wire::{JobId, JobSpec, Request};
use serde::{Deserialize, Serialize};

use super::state_directory::create_private;
use crate::error::{Error, Result};

/// How long a process may take from its start to its lock.
const START_LIMIT: Duration = Duration::from_secs(10);

/// A probe holds the lock for an instant; a process that wants it tries again for this long.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// How much of the end of a log is read for its last line.
const LOG_TAIL_BYTES: u64 = 8 << 10;

/// What a job was started with: the start request, as it came over the wire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Request", into = "Request")]
pub struct JobOrder {
    pub job: JobId,
    pub lease_seconds: u64,
    pub spec: JobSpec,
}

impl TryFrom<Request> for JobOrder {
    type Error = &'static str;

    fn try_from(request: Request) -> std::result::Result<Self, Self::Error> {
        match request {
            Request::Start { job, lease_seconds, spec } => Ok(Self { job, lease_seconds, spec }),
            _ => Err("not a start request"),
        }
    }
}

impl From<JobOrder> for Request {
    fn from(JobOrder { job, lease_seconds, spec }: JobOrder) -> Self {
        Self::Start { job, lease_seconds, spec }
    }
}

/// `<state>/jobs/<id>`.
#[derive(Clone, Debug)]
pub struct JobDirectory {
    path: PathBuf,
}

impl JobDirectory {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Append-only, one [`JournalEntry`](formats::wire::JournalEntry) a line; a last line without newline is not written yet.
    pub fn journal_path(&self) -> PathBuf {
        self.path.join("journal.jsonl")
    }

    /// What the job's process prints.
    pub fn log_path(&self) -> PathBuf {
        self.path.join("log")
    }

    /// The last line of the log, cut where it is long.
    pub(super) fn last_printed(&self) -> Option<String> {
        let mut file = File::open(self.log_path()).ok()?;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES))).ok()?;
        let mut tail = Vec::new();
        file.take(LOG_TAIL_BYTES).read_to_end(&mut tail).ok()?;
        let text = String::from_utf8_lossy(&tail);
        let line = text.lines().rfind(|line| !line.trim().is_empty())?;
        Some(line.chars().take(500).collect())
    }

    /// What the job was started with.
    pub fn order(&self) -> Result<JobOrder> {
        let path = self.path.join("spec.json");
        let text = std::fs::read(&path).map_err(|source| Error::file("reading", &path, source))?;
        serde_json::from_slice(&text).map_err(|error| Error::file("reading", &path, error.into()))
    }

    /// Writes all files of a job that has not run yet.
    pub(super) fn fill(&self, order: &JobOrder) -> Result<()> {
        let path = self.path.join("spec.json");
        let text = serde_json::to_vec(order).map_err(|error| Error::file("writing", &path, error.into()))?;
        let write = |file: &str, content: &[u8]| {
            let path = self.path.join(file);
            let written = create_private(&path, true).and_then(|mut file| file.write_all(content));
            written.map_err(|source| Error::file("writing", &path, source))
        };
        write("lock", b"")?;
        write("lease", b"")?;
        write("spec.json", &text)
    }

    /// The coordinator lives.
    pub fn renew_lease(&self) -> Result<()> {
        let path = self.path.join("lease");
        let renewed = create_private(&path, false).and_then(|file| file.set_modified(SystemTime::now()));
        renewed.map_err(|source| Error::file("renewing", &path, source))
    }

    /// When the coordinator was last heard of; for what is no job, when it last changed.
    pub fn last_sign_of_life(&self) -> Option<SystemTime> {
        modified(&self.path.join("lease")).or_else(|| modified(&self.path))
    }

    /// Asks the job to stop, whether its process lives already or not.
    pub fn request_cancel(&self) -> Result<()> {
        let path = self.path.join("cancel");
        create_private(&path, false).map(drop).map_err(|source| Error::file("creating", &path, source))
    }

    pub fn is_cancel_requested(&self) -> bool {
        self.path.join("cancel").exists()
    }

    /// Marks this process as the job's, until the file is dropped.
    pub fn lock(&self) -> Result<File> {
        let path = self.path.join("lock");
        let file = create_private(&path, false).map_err(|source| Error::file("opening", &path, source))?;
        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(TryLockError::WouldBlock) => return Err(self.busy()),
                Err(TryLockError::Error(source)) => return Err(Error::file("locking", &path, source)),
            }
        }
    }

    /// True while the job's process lives, and for a moment after its start.
    pub fn is_alive(&self) -> Result<bool> {
        if self.is_locked()? {
            return Ok(true);
        }
        let is_new = || modified(&self.path.join("spec.json"))?.elapsed().ok().map(|age| age < START_LIMIT);
        Ok(!self.journal_path().exists() && is_new().unwrap_or(false))
    }

    /// True if a process holds the job's lock.
    pub fn is_locked(&self) -> Result<bool> {
        let path = self.path.join("lock");
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(Error::file("opening", &path, source)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(Error::file("locking", &path, source)),
        }
    }

    fn busy(&self) -> Error {
        let what = format!("another process is running the job in {}", self.path.display());
        Error::refused(what, "attach to that job, or start one of another name")
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}
