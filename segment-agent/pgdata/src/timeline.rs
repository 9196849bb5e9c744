//! Timelines: which history of the log a position belongs to.

use std::fmt;

use crate::Lsn;

/// Number of a timeline, 1 in a fresh cluster, one higher after every promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct TimelineId(pub u32);

/// A history file (`00000002.history`) that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the timeline history is malformed: {text:?}")]
pub struct ParseTimelineError {
    pub line: usize,
    pub text: String,
}

impl fmt::Display for TimelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TimelineId {
    /// Name of the file that tells where this timeline branched off: `00000002.history`.
    pub fn history_file_name(self) -> String {
        format!("{:08X}.history", self.0)
    }
}

/// The timelines a timeline descends from, oldest first: the content of its history file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimelineHistory {
    pub switches: Vec<TimelineSwitch>,
}

/// The end of a timeline: its log counts up to `switch_lsn`, the next timeline goes on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimelineSwitch {
    pub timeline: TimelineId,
    pub switch_lsn: Lsn,
}

impl TimelineHistory {
    /// Reads the text of a history file by PostgreSQL's rules (access/transam/timeline.c, `readTimeLineHistory`): blank
    /// lines and lines that begin with `#` are skipped, what follows the position is a remark, timelines must rise.
    pub fn parse(text: &str) -> Result<Self, ParseTimelineError> {
        let mut switches: Vec<TimelineSwitch> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let fields = line.trim_start();
            if fields.is_empty() || fields.starts_with('#') {
                continue;
            }
            let switch = parse_switch(fields)
                .filter(|next| switches.last().is_none_or(|previous| previous.timeline < next.timeline))
                .ok_or_else(|| ParseTimelineError { line: index + 1, text: line.to_owned() })?;
            switches.push(switch);
        }
        Ok(Self { switches })
    }
}

fn parse_switch(line: &str) -> Option<TimelineSwitch> {
    let mut fields = line.split_whitespace();
    let timeline = fields.next().filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    let switch_lsn = fields.next()?.parse().ok()?;
    Some(TimelineSwitch { timeline: TimelineId(timeline.parse().ok()?), switch_lsn })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_of_two_promotions() {
        let text = "1\t0/3000158\tno recovery target specified\n\n# remark\n2\t1/A0\tat restore point \"x\"\n";
        let history = TimelineHistory::parse(text).unwrap();
        let expected = [(1, 0x0300_0158), (2, 0x1_0000_00A0)]
            .map(|(timeline, lsn)| TimelineSwitch { timeline: TimelineId(timeline), switch_lsn: Lsn(lsn) });
        assert_eq!(history.switches, expected);
        assert_eq!(TimelineHistory::parse(""), Ok(TimelineHistory::default()));
        assert_eq!(TimelineId(26).history_file_name(), "0000001A.history");
    }

    #[test]
    fn malformed_lines_are_named() {
        for text in ["x", "1", "1\t0", "1 0/zz", "-1\t0/1", "1\t0/1\n1\t0/2", "99999999999\t0/1"] {
            let error = TimelineHistory::parse(text).unwrap_err();
            assert_eq!(error.line, text.lines().count(), "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text: String) {
            let _ = TimelineHistory::parse(&text);
        }
    }
}
