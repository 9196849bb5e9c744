//! What the transport tests need: a real sshd on a loopback port, keys, and a stand-in for the agent.
//!
//! sshd runs as an unprivileged user. Where the tests run as root, that user is `damson-test`, made on first use.

pub mod cuttable;
pub mod sshd;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use coordinator::host::VERSION;

/// A shell script that speaks the agent protocol: a job that waits for the second attach or for a cancel.
pub fn agent_script(version: &str) -> String {
    format!(
        r#"#!/bin/sh
[ "$1" = --version ] && {{ echo "damson-agent {version}"; exit 0; }}
echo "a login shell's greeting"
printf '{{"hello":{{"version":"{version}","protocol":1,"host":"stand-in","unix_nanos":0}}}}\n'
event() {{ printf '{{"event":{{"number":%s,"at_millis":0,"event":%s}}}}\n' "$1" "$2"; }}
while read -r line; do
    echo "$line" >> "$(dirname "$0")/requests"
    case "$line" in
    *'"start"'*)
        event 0 '{{"started":{{"pid":1}}}}'
        event 1 '{{"phase":{{"content":0,"text":"copying"}}}}' ;;
    *'"attach"'*'"from":2'*)
        event 2 '{{"segment_done":{{"content":0,"result":"prepared"}}}}'
        event 3 '{{"finished":{{"outcome":"done","peak_memory_bytes":7}}}}' ;;
    *'"cancel"'*)
        event 2 '{{"finished":{{"outcome":{{"cancelled":{{"why":"told so"}}}},"peak_memory_bytes":7}}}}' ;;
    *) echo '"alive"' ;;
    esac
done
"#
    )
}

/// A script whose segment fails at once.
pub fn failing_agent_script() -> String {
    format!(
        r#"#!/bin/sh
printf '{{"hello":{{"version":"{VERSION}","protocol":1,"host":"stand-in","unix_nanos":0}}}}\n'
read -r line
printf '{{"event":{{"number":0,"at_millis":0,"event":{{"segment_failed":{{"content":5,"error":{{"message":"disk full"}}}}}}}}}}\n'
printf '{{"event":{{"number":1,"at_millis":0,"event":{{"finished":{{"outcome":{{"failed":{{"error":{{"message":"content 5 failed"}}}}}},"peak_memory_bytes":0}}}}}}}}\n'
"#
    )
}

/// Writes an executable that any user may run.
pub fn write_script(path: &Path, text: &str) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_owned()
}
