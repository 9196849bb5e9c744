//! The known host keys of one host, from any number of OpenSSH known_hosts files.
//!
//! Reads hashed names, `[host]:port`, wildcards, negation and `@revoked`. Lines with `@cert-authority` are passed over: host
//! certificates are not asked for. A key that is known for a host makes every other key of that host a changed one, also
//! of another algorithm, because the known algorithms are preferred in the key exchange.

mod hashed;
mod pattern;

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A known_hosts file is read into memory; a larger one is a mistake.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// What the files say about a key that a host shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    Known,
    Unknown,
    Changed { file: PathBuf, line: usize },
    Revoked { file: PathBuf, line: usize },
}

/// The lines that name one host.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownHosts {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    file: PathBuf,
    line: usize,
    revoked: bool,
    algorithm: String,
    key: Vec<u8>,
}

/// The name under which a host stands in known_hosts: the plain name on port 22, else `[name]:port`.
pub(super) fn lookup_name(name: &str, port: u16) -> String {
    match port {
        22 => name.to_ascii_lowercase(),
        port => format!("[{}]:{port}", name.to_ascii_lowercase()),
    }
}

impl KnownHosts {
    /// Reads the lines of `files` that name `name` (see [`lookup_name`]). A file that does not exist is empty; one that
    /// cannot be read is an error with its path.
    pub(super) fn read(files: &[PathBuf], name: &str) -> Result<Self, (PathBuf, io::Error)> {
        let mut known = Self::default();
        for file in files {
            match read_text(file) {
                Ok(text) => known.add(file, &text, name),
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(error) => return Err((file.clone(), error)),
            }
        }
        Ok(known)
    }

    fn add(&mut self, file: &Path, text: &str, name: &str) {
        for (index, line) in text.lines().enumerate() {
            if let Some((revoked, algorithm, key)) = parse_line(line, name) {
                self.entries.push(Entry { file: file.to_owned(), line: index + 1, revoked, algorithm, key });
            }
        }
    }

    /// `key`: the public key as SSH encodes it (RFC 4253, 6.6).
    pub(super) fn judge(&self, algorithm: &str, key: &[u8]) -> Judgement {
        let place = |entry: &Entry| (entry.file.clone(), entry.line);
        if let Some((file, line)) = self.entries.iter().find(|e| e.revoked && e.key == key).map(place) {
            return Judgement::Revoked { file, line };
        }
        let known: Vec<&Entry> = self.entries.iter().filter(|e| !e.revoked).collect();
        if known.iter().any(|e| e.key == key) {
            return Judgement::Known;
        }
        match known.iter().find(|e| e.algorithm == algorithm).or(known.first()) {
            Some(entry) => Judgement::Changed { file: entry.file.clone(), line: entry.line },
            None => Judgement::Unknown,
        }
    }

    /// Algorithms of the known keys, such as `ssh-ed25519`: those to ask the host for first.
    pub(super) fn algorithms(&self) -> Vec<&str> {
        self.entries.iter().filter(|e| !e.revoked).map(|e| e.algorithm.as_str()).collect()
    }
}

fn read_text(file: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    let read = fs::File::open(file)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if read as u64 > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 64 MiB"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Revoked or not, algorithm and key of a line that names `name`.
fn parse_line(line: &str, name: &str) -> Option<(bool, String, Vec<u8>)> {
    let mut fields = line.split([' ', '\t', '\r']).filter(|field| !field.is_empty()).peekable();
    let marker = fields.next_if(|field| field.starts_with('@'));
    let column = fields.next().filter(|column| !column.starts_with('#'))?;
    let revoked = match marker {
        None => false,
        Some("@revoked") => true,
        Some(_) => return None,
    };
    if !pattern::matches(column, name) {
        return None;
    }
    let algorithm = fields.next()?.to_owned();
    let key = STANDARD.decode(fields.next()?).ok()?;
    Some((revoked, algorithm, key))
}

/// Adds a line for `name` to `file`, making the file (0600) and its folder (0700) where they are missing.
pub(super) fn append(file: &Path, name: &str, algorithm: &str, key: &[u8]) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let ends_in_newline = match fs::read(file) {
        Ok(bytes) => bytes.last().is_none_or(|last| *last == b'\n'),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(error),
    };
    let start = if ends_in_newline { "" } else { "\n" };
    let line = format!("{start}{name} {algorithm} {}\n", STANDARD.encode(key));
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(file)?;
    file.write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &[u8] = b"first key";
    const OTHER: &[u8] = b"other key";

    fn known(text: &str, name: &str) -> KnownHosts {
        let mut known = KnownHosts::default();
        known.add(Path::new("/etc/known"), text, name);
        known
    }

    fn line(hosts: &str, algorithm: &str, key: &[u8]) -> String {
        format!("{hosts} {algorithm} {} a comment\n", STANDARD.encode(key))
    }

    fn changed(line: usize) -> Judgement {
        Judgement::Changed { file: "/etc/known".into(), line }
    }

    #[test]
    fn judges_keys() {
        let text = format!("# comment\n\n{}{}", line("sdw1", "ssh-ed25519", KEY), line("sdw1", "ssh-rsa", OTHER));
        let hosts = known(&text, "sdw1");
        assert_eq!(hosts.judge("ssh-ed25519", KEY), Judgement::Known);
        assert_eq!(hosts.judge("ssh-rsa", OTHER), Judgement::Known);
        assert_eq!(hosts.judge("ssh-ed25519", b"third"), changed(3));
        assert_eq!(hosts.judge("ssh-rsa", b"third"), changed(4));
        assert_eq!(hosts.algorithms(), ["ssh-ed25519", "ssh-rsa"]);
        assert_eq!(known(&text, "sdw2").judge("ssh-ed25519", KEY), Judgement::Unknown);
    }

    #[test]
    fn another_algorithm_is_a_change() {
        let hosts = known(&line("sdw1", "ssh-rsa", KEY), "sdw1");
        assert_eq!(hosts.judge("ssh-ed25519", OTHER), changed(1));
    }

    #[test]
    fn revoked_wins_over_known_and_authorities_are_passed_over() {
        let text = format!(
            "{}@revoked {}@cert-authority {}",
            line("sdw1", "ssh-ed25519", KEY),
            line("*", "ssh-ed25519", KEY),
            line("*", "ssh-rsa", OTHER)
        );
        let hosts = known(&text, "sdw1");
        assert_eq!(hosts.judge("ssh-ed25519", KEY), Judgement::Revoked { file: "/etc/known".into(), line: 2 });
        assert_eq!(hosts.judge("ssh-rsa", OTHER), changed(1));
        assert_eq!(hosts.algorithms(), ["ssh-ed25519"]);
    }

    #[test]
    fn tabs_and_broken_lines() {
        let text = format!("sdw1\tssh-rsa\t{}\r\nsdw1 ssh-rsa ***\nsdw1\nsdw1 ssh-rsa\n", STANDARD.encode(KEY));
        let hosts = known(&text, "sdw1");
        assert_eq!(hosts.judge("ssh-rsa", KEY), Judgement::Known);
        assert_eq!(hosts.entries.len(), 1);
    }

    #[test]
    fn appended_lines_are_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ssh/known_hosts");
        let name = lookup_name("SDW1", 2222);
        assert_eq!(name, "[sdw1]:2222");
        append(&file, &name, "ssh-ed25519", KEY).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.trim_end()).unwrap();
        append(&file, &lookup_name("sdw2", 22), "ssh-rsa", OTHER).unwrap();
        let files = [folder.path().join("missing"), file];
        assert_eq!(KnownHosts::read(&files, &name).unwrap().judge("ssh-ed25519", KEY), Judgement::Known);
        assert_eq!(KnownHosts::read(&files, "sdw2").unwrap().judge("ssh-rsa", OTHER), Judgement::Known);
        let unreadable = [folder.path().to_owned()];
        assert!(KnownHosts::read(&unreadable, &name).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "\\PC*", name in "[a-z*?!|\\[\\]:0-9]{0,12}") {
            known(&text, &name).judge("ssh-rsa", KEY);
            pattern::matches(&text, &name);
        }
    }
}
