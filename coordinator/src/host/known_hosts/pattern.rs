//! The host column of a known_hosts line (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::hashed::hmac_sha1;

/// True if `column` names `name`, which is a host name or `[host]:port`. A matching `!pattern` rules the line out.
pub(super) fn matches(column: &str, name: &str) -> bool {
    if let Some(hashed) = column.strip_prefix("|1|") {
        return matches_hashed(hashed, name);
    }
    let name = name.to_ascii_lowercase();
    let mut found = false;
    for pattern in column.split(',') {
        match pattern.strip_prefix('!') {
            Some(negated) if matches_wildcard(&negated.to_ascii_lowercase(), &name) => return false,
            Some(_) => {}
            None => found |= matches_wildcard(&pattern.to_ascii_lowercase(), &name),
        }
    }
    found
}

fn matches_hashed(salt_and_hash: &str, name: &str) -> bool {
    let Some((salt, hash)) = salt_and_hash.split_once('|') else { return false };
    let (Ok(salt), Ok(hash)) = (STANDARD.decode(salt), STANDARD.decode(hash)) else { return false };
    hash == hmac_sha1(&salt, name.to_ascii_lowercase().as_bytes())
}

/// `*` is any text, `?` any one character. Linear in space, at worst the product of the lengths in time.
fn matches_wildcard(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    let mut last_star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                last_star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((star, from)) = last_star else { return false };
                last_star = Some((star, from + 1));
                p = star + 1;
                n = from + 1;
            }
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn names_wildcards_and_negation() {
        assert!(matches("sdw1", "sdw1"));
        assert!(matches("SDW1", "sdw1"));
        assert!(!matches("sdw1", "sdw10"));
        assert!(matches("mdw,sdw1", "sdw1"));
        assert!(matches("sdw*", "sdw12"));
        assert!(matches("*.example.org", "a.b.example.org"));
        assert!(matches("sdw?", "sdw1"));
        assert!(!matches("sdw?", "sdw"));
        assert!(matches("*a*b", "xaxxb"));
        assert!(!matches("sdw*,!sdw2", "sdw2"));
        assert!(matches("sdw*,!sdw2", "sdw3"));
        assert!(!matches("!sdw2", "sdw3"));
        assert!(matches("[127.0.0.2]:2222", "[127.0.0.2]:2222"));
        assert!(!matches("127.0.0.2", "[127.0.0.2]:2222"));
        assert!(!matches("", "sdw1"));
    }

    /// Made by `ssh-keygen -H`.
    #[test]
    fn hashed_names() {
        let with_port = "|1|HhVXTYKz8VbIE2foLUfl5bPdmCU=|2VlPC8J+EnSCiHefPA56PhyiNW8=";
        let plain = "|1|aN2nflyzoflxf3MWyxvH07zorm4=|/X2itJHhcgxQU3/PFGyzeIoTkw8=";
        assert!(matches(with_port, "[sdw1]:2222"));
        assert!(!matches(with_port, "sdw1"));
        assert!(matches(plain, "SDW2"));
        assert!(!matches(plain, "sdw1"));
        assert!(!matches("|1|broken", "elsewhere"));
        assert!(!matches("|1|***|***", "elsewhere"));
    }
}
