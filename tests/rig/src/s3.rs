//! An S3 server (`rig-s3`: s3s over a directory) on a free port of 127.0.0.1, with access keys and a bucket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::process::Process;
use crate::{Scratch, User, product};

pub const ACCESS_KEY: &str = "rig-access-key";
pub const SECRET_KEY: &str = "rig-secret-key";
pub const BUCKET: &str = "rig-bucket";

/// A running S3 server.
#[derive(Debug)]
pub struct S3 {
    pub port: u16,
    root: PathBuf,
    holds: PathBuf,
    process: Process,
}

impl S3 {
    /// Starts the server over `<scratch>/s3` with the bucket made.
    pub fn start(scratch: &Scratch) -> S3 {
        let root = scratch.dir("s3");
        scratch.dir(format!("s3/{BUCKET}"));
        let program = product::install(&product::built("rig-s3"), &scratch.dir("bin"));
        let holds = scratch.write("s3-holds", "");
        let mut command = User::get().command(program);
        command.arg(&root).arg(&holds);
        command.env("RIG_S3_ACCESS_KEY", ACCESS_KEY).env("RIG_S3_SECRET_KEY", SECRET_KEY);
        let log = scratch.dir("logs").join("s3.log");
        let mut process = Process::spawn("rig-s3", command, &log, Signal::SIGTERM);
        let mut port = None;
        process.wait_until("it names its port", Duration::from_secs(20), |process| {
            port = port_in(&process.log_text());
            port.is_some()
        });
        S3 { port: port.unwrap(), root, holds, process }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Settings with which the product uses `s3://<bucket>/<prefix>`.
    pub fn settings(&self, prefix: &str) -> Vec<(String, String)> {
        let prefix = format!("s3://{BUCKET}/{prefix}");
        let endpoint = self.endpoint();
        let all = [
            ("WALG_S3_PREFIX", prefix.as_str()),
            ("AWS_ENDPOINT", &endpoint),
            ("AWS_S3_FORCE_PATH_STYLE", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ];
        all.map(|(name, value)| (name.to_string(), value.to_string())).to_vec()
    }

    /// Folder of the bucket's objects, as plain files.
    pub fn bucket_dir(&self) -> PathBuf {
        self.root.join(BUCKET)
    }

    /// Ids of multipart uploads neither completed nor aborted: s3s-fs keeps a `.upload-<id>.json` for each, and its
    /// parts as `.upload_id-<id>.part-<n>`.
    pub fn unfinished_uploads(&self) -> Vec<String> {
        let names = std::fs::read_dir(&self.root).unwrap().flatten().map(|entry| entry.file_name());
        let id = |name: &str| name.strip_prefix(".upload-")?.strip_suffix(".json").map(str::to_string);
        let mut ids: Vec<String> = names.filter_map(|name| id(name.to_str()?)).collect();
        ids.sort();
        ids
    }

    /// From now on (and instead of what was held before) requests wait whose line `PUT /bucket/key?query` holds one of
    /// these texts, where `*` stands for anything, until [`S3::release`]. `3 PUT *` lets the first two such requests pass.
    pub fn hold(&self, texts: &[&str]) {
        let draft = self.holds.with_extension("draft");
        User::get().write(&draft, texts.join("\n"), 0o600);
        std::fs::rename(draft, &self.holds).unwrap();
    }

    /// Like [`S3::hold`], but the requests are answered with an internal error.
    pub fn fail(&self, texts: &[&str]) {
        let lines: Vec<String> = texts.iter().map(|text| format!("!{text}")).collect();
        self.hold(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Lets every request pass.
    pub fn release(&self) {
        self.hold(&[]);
    }

    /// The requests that were held so far, also those released since.
    pub fn held(&self) -> Vec<String> {
        let log = self.process.log_text();
        log.lines().filter_map(|line| line.strip_prefix("held ").map(str::to_string)).collect()
    }

    /// The requests so far, as `PUT /bucket/key?query`.
    pub fn asked(&self) -> Vec<String> {
        let log = self.process.log_text();
        log.lines().filter_map(|line| line.strip_prefix("asked ").map(str::to_string)).collect()
    }

    /// Ends the server at once, as one that went away.
    pub fn stop(&mut self) {
        self.process.end(Signal::SIGKILL);
    }

    pub fn log(&self) -> &Path {
        self.process.log()
    }
}

fn port_in(log: &str) -> Option<u16> {
    log.lines().find_map(|line| line.strip_prefix("port ")?.parse().ok())
}
