//! Settings that are this project's own: name, form, default, meaning.

use super::{Setting, both};

#[rustfmt::skip]
pub const ROWS: &[Setting] = &[
    both("DAMSON_STATE_DIR", "path", "~/.local/state/damson", "journals of running jobs, marks and caches; on every host"),
    both("DAMSON_AGENT_PATH", "path", "", "damson-agent on the segment hosts (looked for beside the coordinator's own program when unset)"),
    both("DAMSON_SSH_CONFIG", "path", "", "ssh_config file in place of ~/.ssh/config"),
    both("DAMSON_SSH_HOST_KEYS", "enum strict|accept-new", "strict", "strict: the key of a segment host must be in known_hosts; accept-new: the key of a host seen for the first time is taken and kept"),
    both("DAMSON_LEASE", "duration", "60s", "an agent that hears nothing from the coordinator for this long gives its job up"),
    both("DAMSON_MEMORY_BUDGET", "size", "64MiB", "bytes of data that one agent process keeps in flight"),
    both("DAMSON_ARCHIVE_TIMEOUT", "duration", "10m", "how long a push waits for the server to archive the WAL of the backup"),
    both("DAMSON_CONNECT_TIMEOUT", "duration", "10s", "limit for connecting to a server or a host"),
];
