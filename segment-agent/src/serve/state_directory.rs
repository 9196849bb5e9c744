//! Where a host keeps its jobs.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use formats::wire::JobId;

use super::job_directory::{JobDirectory, JobOrder};
use crate::error::{Error, Result};

/// How long the directory of a job that ended is kept.
const RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

/// `DAMSON_STATE_DIR`, or `~/.local/state/damson`.
#[derive(Clone, Debug)]
pub struct StateDirectory {
    root: PathBuf,
}

impl StateDirectory {
    /// `root` is created when the first job starts.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// As the environment says; the home directory comes from `HOME`, else from the password database.
    pub fn locate(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let given = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = match given("DAMSON_STATE_DIR") {
            Some(root) => root,
            None => given("HOME").or_else(registered_home).ok_or_else(no_home)?.join(".local/state/damson"),
        };
        let root = std::path::absolute(&root).map_err(|source| Error::file("locating", &root, source))?;
        Ok(Self { root })
    }

    fn jobs(&self) -> PathBuf {
        self.root.join("jobs")
    }

    /// The job of that name. `None` where the host does not know it.
    pub fn find(&self, id: &JobId) -> Result<Option<JobDirectory>> {
        check_id(id)?;
        let path = self.jobs().join(&id.0);
        Ok(path.is_dir().then(|| JobDirectory::new(path)))
    }

    /// All jobs whose directories are complete, in no order.
    pub fn jobs_of_host(&self) -> Vec<JobDirectory> {
        let Ok(entries) = std::fs::read_dir(self.jobs()) else { return Vec::new() };
        let is_job = |path: &PathBuf| path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b"."));
        entries.flatten().map(|entry| entry.path()).filter(is_job).map(JobDirectory::new).collect()
    }

    /// A new job with all its files but the journal, in one step: the directory appears complete or not at all. `None` if
    /// the job exists already.
    pub fn create(&self, order: &JobOrder) -> Result<Option<JobDirectory>> {
        check_id(&order.job)?;
        let path = self.jobs().join(&order.job.0);
        if path.is_dir() {
            return Ok(None);
        }
        create_directory(&self.jobs())?;
        let draft = self.jobs().join(format!(".{}.{}", order.job.0, uuid::Uuid::new_v4()));
        let filled = create_directory(&draft).and_then(|()| JobDirectory::new(draft.clone()).fill(order));
        let renamed = filled
            .and_then(|()| std::fs::rename(&draft, &path).map_err(|source| Error::file("creating", &path, source)));
        match renamed {
            Ok(()) => Ok(Some(JobDirectory::new(path))),
            Err(error) => {
                let _ = std::fs::remove_dir_all(&draft);
                if path.is_dir() { Ok(None) } else { Err(error) }
            }
        }
    }

    /// Removes what is left of jobs that ended more than 7 days ago. Failures are logged: they harm nobody but the disk.
    pub fn remove_old_jobs(&self) {
        let Ok(entries) = std::fs::read_dir(self.jobs()) else { return };
        for entry in entries.flatten() {
            let job = JobDirectory::new(entry.path());
            if !job.last_sign_of_life().is_some_and(is_past_retention) || job.is_locked().unwrap_or(true) {
                continue;
            }
            if let Err(error) = std::fs::remove_dir_all(job.path()) {
                tracing::warn!("removing the old job {}: {error}", job.path().display());
            }
        }
    }
}

/// Opens `path` for appending, for the owner's eyes only; `fresh`: it must not exist yet.
pub fn create_private(path: &Path, fresh: bool) -> std::io::Result<File> {
    OpenOptions::new().append(true).create(true).create_new(fresh).mode(0o600).open(path)
}

fn create_directory(path: &Path) -> Result<()> {
    let created = DirBuilder::new().recursive(true).mode(0o700).create(path);
    created.map_err(|source| Error::file("creating", path, source))
}

fn check_id(id: &JobId) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if (1..=64).contains(&id.0.len()) && id.0.bytes().all(allowed) {
        return Ok(());
    }
    let what = format!("{:?} is no name for a job", id.0.chars().take(80).collect::<String>());
    Err(Error::refused(what, "name it with 1 to 64 of the characters 0-9 A-Z a-z _ -"))
}

fn is_past_retention(time: SystemTime) -> bool {
    time.elapsed().is_ok_and(|age| age > RETENTION)
}

fn registered_home() -> Option<PathBuf> {
    nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|user| user.dir)
}

fn no_home() -> Error {
    let source = std::io::Error::new(ErrorKind::NotFound, "HOME is not set and the password database names no home");
    Error::file("locating", "~/.local/state/damson", source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_places_it() {
        let from = |pairs: &'static [(&str, &str)]| {
            let variable = |name: &str| pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned());
            StateDirectory::locate(&variable).unwrap().root
        };
        assert_eq!(from(&[("DAMSON_STATE_DIR", "/state"), ("HOME", "/home/a")]), Path::new("/state"));
        assert_eq!(from(&[("DAMSON_STATE_DIR", ""), ("HOME", "/home/a")]), Path::new("/home/a/.local/state/damson"));
        assert!(from(&[]).is_absolute());
    }

    #[test]
    fn a_name_never_leaves_the_directory() {
        for name in ["", "..", "a/b", ".hidden", "a b", "ä", &"x".repeat(65)] {
            assert!(check_id(&JobId(name.to_owned())).is_err(), "{name:?}");
        }
        assert!(check_id(&JobId("push-2026_A".to_owned())).is_ok());
    }
}
