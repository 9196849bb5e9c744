//! Secrets stay in the settings file: not on a command line, not in a log, not in a job's directory, not in the storage.

use nix::sys::signal::{Signal, kill};
use rig::process_ids;

use super::*;

const LIBSODIUM_KEY: &str = "b6e2f0a91c3d4e5f60718293a4b5c6d7e8f9010203040506070809aabbccddee";
const PASSWORD: &str = "rig-database-password";
const S3_KEYS: [&str; 2] = ["rig-access-key", "rig-secret-key"];

/// Adds the command lines of every process of the machine to `seen`.
fn sample(seen: &mut BTreeSet<String>) {
    for pid in process_ids(|_| true) {
        // A process may have ended since.
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        seen.insert(String::from_utf8_lossy(&line).replace('\0', " "));
    }
}

#[test]
fn no_secret_leaves_the_settings_file() {
    let mut stand = stand("secrets", "60s");
    stand.set("WALG_LIBSODIUM_KEY", LIBSODIUM_KEY);
    stand.set("WALG_LIBSODIUM_KEY_TRANSFORM", "hex");
    stand.set("PGPASSWORD", PASSWORD);
    stand.set("WALG_LOG_LEVEL", "DEVEL");
    let mut seen = BTreeSet::new();
    for text in ["damson-write-probe", COPYING, "PUT *wal_005"] {
        let mut push = push_held_at(&stand, text);
        sample(&mut seen);
        s3(&stand).release();
        push.wait_until("its end", SOON, |log| {
            sample(&mut seen);
            log.contains("Wrote backup with name")
        });
        assert_eq!(push.wait(SOON).status, Some(0));
    }
    for (what, word) in
        [("connection", "damson-agent serve"), ("job", "damson-agent job"), ("archiver", "seg wal-push")]
    {
        assert!(seen.iter().any(|line| line.contains(word)), "no {what} was sampled: {seen:#?}");
    }

    // Failures talk more than successes.
    let push = push_held_while(&stand, COPYING);
    kill(last_push(&stand.hosts.list[1]).pid(), Signal::SIGKILL).unwrap();
    s3(&stand).release();
    push.wait(SOON).ok_despite(&["are started again"]);
    stand.s3.as_mut().unwrap().stop();
    let mut check = stand.product.spawn_damson(&["hosts", "check"]);
    check.wait_until("its end", SOON, |log| {
        sample(&mut seen);
        log.contains("did not store and remove an object within")
    });
    check
        .wait(SOON)
        .fails(1, &["host 127.0.0.2, content -1", "host 127.0.0.3, content 2", "4 checks failed on 2 hosts"]);

    let secrets = [LIBSODIUM_KEY, PASSWORD, S3_KEYS[1]];
    for secret in secrets {
        let leak = seen.iter().find(|line| line.contains(secret));
        assert!(leak.is_none(), "on a command line: {}", leak.unwrap());
        let files = files_with(&stand, secret);
        assert!(files.is_empty(), "a secret stands in {files:?}");
    }
}

/// Every file of the scratch directory that holds the text: logs, outputs, state directories, storage, data directories. Not
/// the settings file, and not the binaries.
fn files_with(stand: &Stand, text: &str) -> Vec<String> {
    let output = std::process::Command::new("grep")
        .args(["-rlaF", "--exclude=damson.yaml", "--exclude-dir=bin", "--exclude=damson-agent-*", "-e", text])
        .arg(stand.scratch.path())
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_string).collect()
}
