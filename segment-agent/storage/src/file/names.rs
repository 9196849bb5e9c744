//! Names of files that are being written: `<object>.tmp.<YYYYMMDDThhmmssZ>-<16 lower-case hex digits>`, as WAL-G has
//! them, so that each hides the other's from its listings.

use chrono::{DateTime, NaiveDateTime, Utc};

const TIME_FORMAT: &str = "%Y%m%dT%H%M%SZ";
const INFIX: &str = ".tmp.";

/// A new temporary name for the file `name`.
pub(super) fn temporary(name: &str) -> String {
    format!("{name}{INFIX}{}-{:016x}", Utc::now().format(TIME_FORMAT), rand::random::<u64>())
}

/// The file that a temporary one would have become, and when it was begun; `None` for any other name.
pub(super) fn parse(name: &str) -> Option<(&str, DateTime<Utc>)> {
    let (object, tag) = name.rsplit_once(INFIX)?;
    let (time, random) = tag.split_once('-')?;
    let is_random = random.len() == 16 && random.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_time = time.len() == 16 && time.is_ascii();
    if object.is_empty() || !is_random || !is_time {
        return None;
    }
    Some((object, NaiveDateTime::parse_from_str(time, TIME_FORMAT).ok()?.and_utc()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_names_are_recognized() {
        let name = temporary("part_001.tar.lz4");
        let (object, started) = parse(&name).unwrap();
        assert_eq!(object, "part_001.tar.lz4");
        assert!((Utc::now() - started).num_seconds() < 60);
        assert!(parse("x.tmp.20240102T030405Z-0123456789abcdef").is_some());
    }

    #[test]
    fn other_names_are_objects() {
        for name in [
            "x",
            "x.tmp",
            "x.tmp.",
            ".tmp.20240102T030405Z-0123456789abcdef",
            "x.tmp.20240102T030405Z-0123456789abcdeF",
            "x.tmp.20240102T030405Z-0123456789abcde",
            "x.tmp.20241302T030405Z-0123456789abcdef",
            "x.tmp.2024010üT030405-0123456789abcdef",
            "x.tmp.20240102T030405Z-0123456789abcdef.lz4",
        ] {
            assert!(parse(name).is_none(), "{name}");
        }
    }
}
