//! One archive member, free of the details of its header's encoding.

use crate::Error;

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    Directory,
    /// With its target.
    Symlink(Vec<u8>),
    /// With the name of the member it is another name of.
    HardLink(Vec<u8>),
    /// A device, fifo or other type, by its type flag: a header without content.
    Other(u8),
}

/// A member as its header describes it. Names are bytes, as in file systems; they start with `/` in local backups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub name: Vec<u8>,
    pub kind: Kind,
    /// Content bytes; 0 for everything but files.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub uname: String,
    pub gname: String,
    /// Seconds since 1970-01-01 UTC.
    pub mtime_secs: i64,
}

impl Member {
    /// A file of `size` bytes with mode 0600, no owner and time 0, as the `backup_label` archive has them.
    pub fn file(name: impl Into<Vec<u8>>, size: u64) -> Member {
        Member {
            name: name.into(),
            kind: Kind::File,
            size,
            mode: 0o600,
            uid: 0,
            gid: 0,
            uname: String::new(),
            gname: String::new(),
            mtime_secs: 0,
        }
    }

    /// The name as text; an error (which shows it with replacement characters) if it is not UTF-8.
    pub fn name_str(&self) -> Result<&str, Error> {
        std::str::from_utf8(&self.name).map_err(|_| Error::Unsupported {
            what: "an archive member name that is not UTF-8",
            why: self.name_lossy(),
        })
    }

    /// The name for messages.
    pub(crate) fn name_lossy(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }
}
