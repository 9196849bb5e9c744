//! Settings that are this project's own: name, form, default, meaning.

use super::{Setting, both};

#[rustfmt::skip]
pub const ROWS: &[Setting] = &[
    both("DAMSON_STATE_DIR", "path", "~/.local/state/damson", "journals of jobs, on every host; read from the environment of the agent only"),
    both("DAMSON_AGENT_PATH", "path", "", "damson-agent on the segment hosts; when unset the one that `hosts install` put there, then the one in PATH"),
    both("DAMSON_SSH_CONFIG", "path", "", "ssh_config file in place of ~/.ssh/config"),
    both("DAMSON_SSH_HOST_KEYS", "enum strict|accept-new", "strict", "strict: the key of a segment host must be in known_hosts; accept-new: the key of a host seen for the first time is taken and kept"),
    both("DAMSON_LEASE", "duration", "60s", "an agent that hears nothing from the coordinator for this long stops its job"),
    both("DAMSON_STORAGE_LEASE", "duration", "15m", "what a push, a deletion or a reader left in the storage when it was killed stops others for this long at most"),
    both("DAMSON_GARBAGE_AGE", "duration", "1h", "delete removes what belongs to no backup once nothing was added to it for so long; a push of WAL-G, which holds no lease, may still be at work on what is younger"),
    both("DAMSON_MEMORY_BUDGET", "size", "64MiB", "memory for the buffers of all workers of one agent process; says how many workers run"),
    both("DAMSON_ARCHIVE_TIMEOUT", "duration", "10m", "how long a push waits until the WAL up to its restore point is in the archive"),
    both("DAMSON_CONNECT_TIMEOUT", "duration", "10s", "limit for connecting to a server or a host"),
    both("DAMSON_AO_TRUST_FILE_TIMES", "bool", "false", "an append-optimized file whose size, time of modification, inode and timeline are those of a backup that hashed it is reused without being read"),
];
