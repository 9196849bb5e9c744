//! A file system of a few megabytes.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted tmpfs; unmounted when dropped.
pub struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// Mounts it at a directory. `None`, with the reason printed, where this process may not mount.
    pub fn mount(at: &Path, mebibytes: u32) -> Option<SmallDisk> {
        let (uid, gid) = (rig::User::get().uid, rig::User::get().gid);
        let options = format!("size={mebibytes}m,mode=700,uid={uid},gid={gid}");
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "damson-rig"]).arg(at).output();
        let reason = match output {
            Ok(output) if output.status.success() => return Some(SmallDisk { at: at.to_owned() }),
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        println!("skipped: a small file system cannot be mounted, which takes root: {}", reason.trim());
        None
    }

    pub fn resize(&self, mebibytes: u32) {
        let options = format!("remount,size={mebibytes}m");
        let status = Command::new("mount").args(["-o", &options]).arg(&self.at).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, for a failed test may leave a process that still has a file open.
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}
