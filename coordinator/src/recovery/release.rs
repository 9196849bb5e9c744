//! What a server can do, by the release that the sentinel of its backup names.

use super::Error;

/// What differs between releases about recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Recovers by `recovery.signal` and ordinary settings (PostgreSQL 12 and later) instead of `recovery.conf`.
    pub recovery_signal: bool,
    /// Knows `recovery_target_action` (PostgreSQL 9.5 and later).
    pub recovery_target_action: bool,
}

const POSTGRES_9_4: Capabilities = Capabilities { recovery_signal: false, recovery_target_action: false };
const POSTGRES_12: Capabilities = Capabilities { recovery_signal: true, recovery_target_action: true };

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flavor {
    Greenplum,
    Cloudberry,
}

impl Capabilities {
    /// From the two fields of a sentinel: `greenplum (6.25.3)` with the flavor again, or a plain `6.19.3`, which old
    /// backups have without a flavor. Greenplum 7 is made of PostgreSQL 12, Cloudberry of 14, older Greenplum of 9.4 or
    /// something older.
    pub fn of(version: &str, flavor: &str) -> Result<Self, Error> {
        let unknown = || Error::UnknownRelease { version: version.to_owned(), flavor: flavor.to_owned() };
        let (flavor, major) = parse(version, flavor).ok_or_else(unknown)?;
        Ok(match (flavor, major) {
            (Flavor::Greenplum, ..7) => POSTGRES_9_4,
            (Flavor::Greenplum, 7..) | (Flavor::Cloudberry, _) => POSTGRES_12,
        })
    }
}

/// Flavor and major version; `None` if they are not there or contradict each other.
fn parse(version: &str, flavor: &str) -> Option<(Flavor, u32)> {
    let (named, number) = match version.split_once('(') {
        Some((named, rest)) => (named.trim(), rest.split_once(')')?.0),
        None => ("", version),
    };
    let flavor = match (parse_flavor(named)?, parse_flavor(flavor.trim())?) {
        (Some(a), Some(b)) if a != b => return None,
        (a, b) => a.or(b).unwrap_or(Flavor::Greenplum),
    };
    Some((flavor, parse_major(number.trim())?))
}

/// `Some(None)` if nothing is said.
fn parse_flavor(text: &str) -> Option<Option<Flavor>> {
    match text {
        "" => Some(None),
        "greenplum" => Some(Some(Flavor::Greenplum)),
        "cloudberry" => Some(Some(Flavor::Cloudberry)),
        _ => None,
    }
}

/// The first of the numbers of `6.0.0-beta.1+585e934`.
fn parse_major(number: &str) -> Option<u32> {
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    let (digits, rest) = number.split_at(end);
    let is_version = rest.is_empty() || rest.starts_with(['.', '-', '+', ' ']);
    digits.parse().ok().filter(|major| is_version && *major > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_release() {
        for (version, flavor, expected) in [
            ("greenplum (6.25.3)", "greenplum", POSTGRES_9_4),
            ("greenplum (6.25.3)", "", POSTGRES_9_4),
            ("6.19.3", "", POSTGRES_9_4),
            ("6.19.3", "greenplum", POSTGRES_9_4),
            ("6.0.0-beta.1+585e934", "", POSTGRES_9_4),
            ("greenplum (6.0.0-beta.1+585e934)", "greenplum", POSTGRES_9_4),
            ("5.28.0", "", POSTGRES_9_4),
            ("6.25.3 build commit:1234", "", POSTGRES_9_4),
            ("7.1.0", "", POSTGRES_12),
            ("greenplum (7.1.0)", "greenplum", POSTGRES_12),
            ("greenplum (10.0.0)", "greenplum", POSTGRES_12),
            ("cloudberry (1.6.0)", "cloudberry", POSTGRES_12),
            ("cloudberry (2.0.0)", "", POSTGRES_12),
            ("1.6.0", "cloudberry", POSTGRES_12),
        ] {
            assert_eq!(Capabilities::of(version, flavor).unwrap(), expected, "{version} {flavor}");
        }
    }

    #[test]
    fn what_is_unknown_is_named() {
        for (version, flavor) in [
            ("", ""),
            ("", "greenplum"),
            ("six", "greenplum"),
            ("6x", ""),
            ("0.1", ""),
            ("greenplum (6.25.3", "greenplum"),
            ("greenplum ()", "greenplum"),
            ("(", ""),
            ("enormous (1.0)", ""),
            ("6.19.3", "enormous"),
            ("greenplum (6.25.3)", "cloudberry"),
            ("99999999999.1", ""),
        ] {
            let error = Capabilities::of(version, flavor).unwrap_err().to_string();
            assert!(error.contains(&format!("{version:?}")) && error.contains(&format!("{flavor:?}")), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(version: String, flavor: String) {
            let _ = Capabilities::of(&version, &flavor);
            let _ = Capabilities::of(&format!("greenplum ({version}"), "greenplum");
        }
    }
}
