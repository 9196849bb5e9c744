//! Points in time as WAL-G writes them.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, FixedOffset, SubsecRound, TimeDelta, Timelike, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time and the offset from UTC in which it was written. Compared as a point in time: the offset does not
/// count. Text: RFC 3339 with 0 to 9 fractional digits, trailing zeros left out, `Z` for UTC (Go's `RFC3339Nano`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(pub DateTime<FixedOffset>);

impl Timestamp {
    /// From nanoseconds since 1970, in UTC.
    pub fn from_unix_nanos(nanos: i64) -> Self {
        DateTime::from_timestamp_nanos(nanos).into()
    }

    /// Nanoseconds since 1970; times outside the years 1677 to 2262 give the nearest representable number.
    pub fn unix_nanos(self) -> i64 {
        let limit = if self.0.timestamp() < 0 { i64::MIN } else { i64::MAX };
        self.0.timestamp_nanos_opt().unwrap_or(limit)
    }

    /// The next whole microsecond, or the time itself if it is one: WAL-G's rule for start and finish times.
    pub fn rounded_up_to_micros(self) -> Self {
        let floor = self.0.trunc_subsecs(6);
        if floor == self.0 {
            return self;
        }
        Self(floor.checked_add_signed(TimeDelta::microseconds(1)).unwrap_or(self.0))
    }
}

/// Go's zero time, 0001-01-01T00:00:00Z: what WAL-G makes of a time that is absent.
impl Default for Timestamp {
    fn default() -> Self {
        const SECONDS_FROM_YEAR_1_TO_1970: i64 = 62_135_596_800;
        DateTime::from_timestamp(-SECONDS_FROM_YEAR_1_TO_1970, 0).unwrap_or_default().into()
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time.fixed_offset())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m-%dT%H:%M:%S"))?;
        // A leap second is nanoseconds from 1_000_000_000 on; Go has none.
        let nanos = self.0.nanosecond().min(999_999_999);
        if nanos > 0 {
            write!(f, ".{}", format!("{nanos:09}").trim_end_matches('0'))?;
        }
        match self.0.offset().local_minus_utc() {
            0 => f.write_str("Z"),
            _ => write!(f, "{}", self.0.format("%:z")),
        }
    }
}

impl FromStr for Timestamp {
    type Err = chrono::ParseError;

    fn from_str(text: &str) -> Result<Self, chrono::ParseError> {
        DateTime::parse_from_rfc3339(text).map(Self)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as 2026-11-21T08:28:23.5Z")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
                text.parse().map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_go_comes_back() {
        for text in [
            "2026-11-21T08:10:14.751265199Z",
            "2026-11-21T08:10:16.86097Z",
            "2026-11-21T08:10:16Z",
            "2026-11-21T08:10:13.32326523+03:00",
            "2026-11-21T08:10:13.000000001-03:30",
            "0001-01-01T00:00:00Z",
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
        assert_eq!(Timestamp::default().to_string(), "0001-01-01T00:00:00Z");
    }

    #[test]
    fn instants_are_compared_without_their_zone() {
        let utc: Timestamp = "2026-11-21T08:10:13.5Z".parse().unwrap();
        let local: Timestamp = "2026-11-21T11:10:13.500+03:00".parse().unwrap();
        assert_eq!(utc, local);
        assert_eq!(utc.unix_nanos(), 1_795_248_613_500_000_000);
        assert_eq!(Timestamp::from_unix_nanos(utc.unix_nanos()), utc);
        assert_eq!(Timestamp::default().unix_nanos(), i64::MIN);
    }

    #[test]
    fn rounding_goes_up() {
        let rounded = |text: &str| text.parse::<Timestamp>().unwrap().rounded_up_to_micros().to_string();
        assert_eq!(rounded("2026-11-21T08:10:13.000001Z"), "2026-11-21T08:10:13.000001Z");
        assert_eq!(rounded("2026-11-21T08:10:13.999999001Z"), "2026-11-21T08:10:14Z");
        assert_eq!(rounded("1969-12-31T23:59:59.000000001Z"), "1969-12-31T23:59:59.000001Z");
    }

    proptest::proptest! {
        #[test]
        fn every_nanosecond_comes_back(nanos: i64) {
            let time = Timestamp::from_unix_nanos(nanos);
            proptest::prop_assert_eq!(time.to_string().parse(), Ok(time));
            proptest::prop_assert_eq!(time.unix_nanos(), nanos);
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = text.parse::<Timestamp>();
        }
    }
}
