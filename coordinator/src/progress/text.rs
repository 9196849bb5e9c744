//! A [`Snapshot`] in words.

use std::time::Duration;

use indicatif::{BinaryBytes, HumanDuration};

use super::totals::Snapshot;

/// Beside the bar, which shows the part done: "push: 1.20 GiB of 4.00 GiB, 120.00 MiB/s, 25s left; copying; slowest ...".
pub(super) fn describe(title: &str, snapshot: &Snapshot) -> String {
    let mut text = format!("{title}: ");
    match snapshot.total_bytes {
        0 => text.push_str(&format!("{} of {} segments done", snapshot.over, snapshot.segments)),
        total => text.push_str(&format!("{} of {}", BinaryBytes(snapshot.done_bytes), BinaryBytes(total))),
    }
    if let Some(rate) = snapshot.bytes_per_second {
        text.push_str(&format!(", {}/s", BinaryBytes(rate)));
    }
    if let Some(left) = snapshot.time_left.filter(|left| *left > Duration::ZERO) {
        text.push_str(&format!(", {:#} left", HumanDuration(left)));
    }
    if !snapshot.phase.is_empty() {
        text.push_str(&format!("; {}", snapshot.phase));
    }
    if let Some(slowest) = snapshot.slowest.as_ref().filter(|_| snapshot.segments > 1) {
        text.push_str(&format!("; slowest: content {} on {} ({}%", slowest.content.0, slowest.host, slowest.percent));
        match slowest.phase == snapshot.phase || slowest.phase.is_empty() {
            true => text.push(')'),
            false => text.push_str(&format!(", {})", slowest.phase)),
        }
    }
    text
}

/// For a log, where there is no bar.
pub(super) fn describe_line(title: &str, snapshot: &Snapshot) -> String {
    format!("{}; {} of {} segments done", describe(title, snapshot), snapshot.over, snapshot.segments)
}

#[cfg(test)]
mod tests {
    use formats::ContentId;

    use super::super::totals::Slowest;
    use super::*;
    use crate::host::HostName;

    #[test]
    fn a_push_in_words() {
        let slowest =
            Slowest { content: ContentId(3), host: HostName("sdw2".into()), percent: 12, phase: "copying".into() };
        let snapshot = Snapshot {
            done_bytes: 1 << 30,
            total_bytes: 4 << 30,
            bytes_per_second: Some(128 << 20),
            time_left: Some(Duration::from_secs(24)),
            over: 1,
            segments: 4,
            slowest: Some(slowest),
            phase: "copying".into(),
        };
        assert_eq!(
            describe_line("push", &snapshot),
            "push: 1.00 GiB of 4.00 GiB, 128.00 MiB/s, 24s left; copying; slowest: content 3 on sdw2 (12%); 1 of 4 segments \
             done"
        );
        assert_eq!(describe("push", &Snapshot::default()), "push: 0 of 0 segments done");
    }
}
