//! What an error of the operating system means for a storage.

use crate::error::{Error, ErrorKind};
use crate::record::Operation;
use std::io;

pub(super) fn error(operation: Operation, location: String, error: &io::Error) -> Error {
    Error::new(kind(error), operation, location, error.to_string())
}

fn kind(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::NoSpace,
        io::ErrorKind::AlreadyExists | io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => ErrorKind::Exists,
        io::ErrorKind::InvalidFilename | io::ErrorKind::FileTooLarge => ErrorKind::Invalid,
        _ => ErrorKind::Transient,
    }
}

/// Whether there is simply no such file, which includes that a part of its path is a file.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;

    #[test]
    fn a_full_disk_is_told_from_a_broken_one() {
        let of = |errno: Errno| kind(&io::Error::from(errno));
        assert_eq!(of(Errno::ENOSPC), ErrorKind::NoSpace);
        assert_eq!(of(Errno::EDQUOT), ErrorKind::NoSpace);
        assert_eq!(of(Errno::EROFS), ErrorKind::Denied);
        assert_eq!(of(Errno::EIO), ErrorKind::Transient);
        assert_eq!(of(Errno::ESTALE), ErrorKind::Transient);
        assert_eq!(of(Errno::ENAMETOOLONG), ErrorKind::Invalid);
    }
}
