//! Log sequence numbers.

use std::fmt;
use std::str::FromStr;

/// A position in the write-ahead log: bytes since its beginning. Written `X/X` in hex (access/xlogdefs.h), stored as a
/// plain integer in WAL-G's JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Lsn(pub u64);

/// Text that is no log position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no log position: two hexadecimal numbers of up to 8 digits with a slash between them are expected, such as 0/1C000100"
)]
pub struct ParseLsnError(pub String);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl FromStr for Lsn {
    type Err = ParseLsnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = || ParseLsnError(text.to_owned());
        let (high, low) = text.split_once('/').ok_or_else(fail)?;
        let half = |digits: &str| {
            let plain = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
            plain.then(|| u64::from_str_radix(digits, 16).ok()).flatten().ok_or_else(fail)
        };
        Ok(Lsn(half(high)? << 32 | half(low)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_both_ways() {
        assert_eq!("0/C000158".parse(), Ok(Lsn(0x0C00_0158)));
        assert_eq!(Lsn(0x1_2C00_0100).to_string(), "1/2C000100");
        for wrong in ["", "0", "/", "0/", "g/0", "+1/0", "0/123456789", "1/2/3"] {
            assert!(wrong.parse::<Lsn>().is_err(), "{wrong:?}");
        }
    }
}
