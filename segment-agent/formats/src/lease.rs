//! `damson_005/leases/<kind>-<id>.json`: who is at work on a storage. WAL-G does not look at it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// What the holder of a lease does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaseKind {
    /// Adds a backup, or copies one to this storage.
    Push,
    /// Removes objects.
    Delete,
    /// Reads backups that must stay, or changes their metadata.
    Read,
}

impl LeaseKind {
    pub const ALL: [Self; 3] = [Self::Push, Self::Delete, Self::Read];

    /// As it stands in keys and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Delete => "delete",
            Self::Read => "read",
        }
    }

    /// Whether two holders must not be at work at the same time. Pushes share a storage with readers; deletions with nobody.
    pub fn excludes(self, other: Self) -> bool {
        match (self, other) {
            (Self::Delete, _) | (_, Self::Delete) | (Self::Push, Self::Push) => true,
            (Self::Push | Self::Read, Self::Read) | (Self::Read, Self::Push) => false,
        }
    }
}

/// The document. Its times are those of the holder's clock and meant for people: whether a lease has expired follows from the
/// times that the storage keeps, and from `expires` - `renewed`, which is the lease's term.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseDocument {
    pub kind: LeaseKind,
    /// Name of the backup, or of what else is done.
    pub what: String,
    pub host: String,
    pub pid: u32,
    pub taken: Timestamp,
    pub renewed: Timestamp,
    pub expires: Timestamp,
    /// The process, in a form that only another one on the same running system can say to have ended: boot, process
    /// namespace and start time.
    #[serde(default)]
    pub process: String,
    /// For so many seconds after the last renewal others may still be at work for a holder that has ended: agents.
    #[serde(default)]
    pub lingers: u64,
}

impl LeaseDocument {
    /// How long the lease holds after a renewal, in milliseconds.
    pub fn term_millis(&self) -> i64 {
        self.expires.0.signed_duration_since(self.renewed.0).num_milliseconds().max(0)
    }
}

impl fmt::Display for LeaseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go_json;

    #[test]
    fn keys_in_order() {
        let text = r#"{"kind":"push","what":"backup_20261121T082823Z","host":"mdw","pid":7,"taken":"2026-11-21T08:28:23Z","renewed":"2026-11-21T08:30:23Z","expires":"2026-11-21T08:45:23.5Z","process":"b/1/2","lingers":120}"#;
        let document: LeaseDocument = go_json::from_slice("x", text.as_bytes()).unwrap();
        assert_eq!(document.term_millis(), 900_500);
        assert_eq!(String::from_utf8(go_json::to_vec(&document)).unwrap(), text);
    }

    #[test]
    fn who_excludes_whom() {
        use LeaseKind::{Delete, Push, Read};
        for (a, b, expected) in [
            (Push, Push, true),
            (Push, Delete, true),
            (Push, Read, false),
            (Delete, Delete, true),
            (Delete, Read, true),
            (Read, Read, false),
        ] {
            assert_eq!((a.excludes(b), b.excludes(a)), (expected, expected), "{a} and {b}");
        }
    }
}
