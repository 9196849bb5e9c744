//! The password file: `host:port:database:user:password`, the first line that fits (libpq-pgpass).

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::Host;

/// The password for a connection, if the file has one. A file that group or others may read is ignored with a warning, as
/// in libpq; so is one that cannot be read.
pub fn find(path: &Path, host: &Host, database: &str, user: &str) -> Option<String> {
    let metadata = std::fs::metadata(path).ok()?;
    if !metadata.is_file() {
        return None;
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        tracing::warn!("the password file {} is ignored: others may read it; run chmod 600", path.display());
        return None;
    }
    search(&std::fs::read_to_string(path).ok()?, host, database, user)
}

fn search(text: &str, host: &Host, database: &str, user: &str) -> Option<String> {
    let (names, port) = match host {
        Host::Tcp { name, port, .. } => (vec![name.clone()], port),
        Host::Socket { directory, port } => (vec!["localhost".to_owned(), directory.display().to_string()], port),
    };
    let port = port.to_string();
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = split(line);
        let [host, on_port, in_database, as_user, password] = fields.as_slice() else { return None };
        let fits = (host == "*" || names.contains(host))
            && (on_port == "*" || *on_port == port)
            && (in_database == "*" || in_database == database)
            && (as_user == "*" || as_user == user);
        (fits && !password.is_empty()).then(|| password.clone())
    })
}

/// At colons without a backslash before them; `\:` and `\\` lose their backslash. The fifth field ends at the next colon.
fn split(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut chars = line.trim_end_matches('\r').chars();
    while let Some(c) = chars.next() {
        match c {
            ':' if fields.len() == 5 => break,
            ':' => fields.push(String::new()),
            other => {
                let plain = if other == '\\' { chars.next() } else { Some(other) };
                if let Some(field) = fields.last_mut() {
                    field.extend(plain);
                }
            }
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_wins() {
        let text = "# note\nbroken\nother:*:*:*:no\nh:5432:db:u\\:x:p\\:\\\\1\nh:*:*:*:second:rest\nlocalhost:7:*:*:sock\n/s:*:*:*:dir";
        let host = |name: &str, port| Host::Tcp { name: name.to_owned(), address: None, port };
        let find = |host: &Host, user: &str| search(text, host, "db", user);
        assert_eq!(find(&host("h", 5432), "u:x").as_deref(), Some("p:\\1"));
        assert_eq!(find(&host("h", 5433), "u").as_deref(), Some("second"));
        assert_eq!(find(&host("nowhere", 1), "u"), None);
        let socket = |port| Host::Socket { directory: "/s".into(), port };
        assert_eq!(find(&socket(7), "u").as_deref(), Some("sock"));
        assert_eq!(find(&socket(8), "u").as_deref(), Some("dir"));
    }

    #[test]
    fn a_file_that_others_may_read_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pgpass");
        std::fs::write(&path, "*:*:*:*:p").unwrap();
        let host = Host::Tcp { name: "h".to_owned(), address: None, port: 1 };
        for (mode, expected) in [(0o644, None), (0o600, Some("p"))] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(find(&path, &host, "d", "u").as_deref(), expected);
        }
    }
}
