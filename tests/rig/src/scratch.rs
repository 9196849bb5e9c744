//! One directory per test, made under TMPDIR, owned by the rig's user.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::User;

/// A fresh directory. Dropped, it is removed, unless the thread panics or `RIG_KEEP` is set: then its path is printed.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// `name` tells the directory in a listing; keep it short, since Unix socket paths end at 107 bytes.
    pub fn new(name: &str) -> Scratch {
        let made = tempfile::Builder::new().prefix(&format!("damson-{name}.")).tempdir();
        let path = made.unwrap_or_else(|e| panic!("make a scratch directory: {e}")).keep();
        // World-readable, so that the user reaches it and a person can look into it.
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        User::get().own(&path);
        let scratch = Scratch { path };
        let reached = User::get().command("test").arg("-x").arg(&scratch.path).status().unwrap();
        assert!(reached.success(), "{} is out of reach of {}: set TMPDIR", scratch.path.display(), User::get().name);
        scratch
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Makes (where missing) and returns the directory of that relative path, owned by the user, mode 700.
    pub fn dir(&self, name: impl AsRef<Path>) -> PathBuf {
        let mut path = self.path.clone();
        for part in name.as_ref() {
            path.push(part);
            if !path.is_dir() {
                User::get().make_dir(&path);
            }
        }
        path
    }

    /// Writes a file (mode 600) owned by the user and returns its path.
    pub fn write(&self, name: impl AsRef<Path>, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path.join(name);
        User::get().write(&path, text, 0o600);
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() || std::env::var_os("RIG_KEEP").is_some() {
            eprintln!("rig: the scratch directory is kept: {}", self.path.display());
        } else if let Err(e) = std::fs::remove_dir_all(&self.path) {
            eprintln!("rig: cannot remove {}: {e}", self.path.display());
        }
    }
}
