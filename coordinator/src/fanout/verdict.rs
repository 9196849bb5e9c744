//! How a fan-out ended: the first failure, by host and content id, and what became of every host.

use std::collections::BTreeMap;

use formats::ContentId;
use formats::wire::{ErrorReport, SegmentResult};

use crate::host::HostName;

/// The end of a fan-out.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// `None`: every segment of every host is done.
    pub cause: Option<Cause>,
    /// In the order of the plans.
    pub hosts: Vec<HostVerdict>,
}

/// Why not everything is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The first failure; what came after it is its consequence. `content` where one segment is to blame.
    Failure { host: HostName, content: Option<ContentId>, error: ErrorReport },
    /// The user stopped it.
    Interrupted,
}

#[derive(Clone, Debug, PartialEq)]
pub struct HostVerdict {
    pub host: HostName,
    pub end: End,
    /// What was finished before the end.
    pub results: BTreeMap<ContentId, SegmentResult>,
    /// Of the agent's job; 0 if unknown.
    pub peak_memory_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Done,
    Failed(ErrorReport),
    /// It stopped and cleaned up.
    Cancelled {
        why: String,
    },
    /// It was told to stop, or its lease ran out, and it did not confirm its end.
    GivenUp {
        why: String,
    },
    /// Nothing was started on it.
    NeverStarted,
}

impl Verdict {
    pub fn is_success(&self) -> bool {
        self.cause.is_none()
    }

    /// Results of all segments of all hosts.
    pub fn results(&self) -> BTreeMap<ContentId, &SegmentResult> {
        self.hosts.iter().flat_map(|host| host.results.iter().map(|(content, result)| (*content, result))).collect()
    }

    /// What to tell a person; `None` after a success.
    pub fn report(&self) -> Option<ErrorReport> {
        let others = self.others();
        match self.cause.as_ref()? {
            Cause::Interrupted => Some(ErrorReport { message: format!("interrupted{others}"), remedy: None }),
            Cause::Failure { host, content, error } => {
                let place = match content {
                    Some(content) => format!("host {host}, content {}", content.0),
                    None => format!("host {host}"),
                };
                let message = format!("{place}: {}{others}", error.message);
                Some(ErrorReport { message, remedy: error.remedy.clone() })
            }
        }
    }

    /// "; 2 other hosts stopped; host sdw3 ...": names only those who did not end as they should.
    fn others(&self) -> String {
        let blamed = match &self.cause {
            Some(Cause::Failure { host, .. }) => Some(host),
            _ => None,
        };
        let others: Vec<&HostVerdict> = self.hosts.iter().filter(|host| Some(&host.host) != blamed).collect();
        let count = |of: fn(&End) -> bool| others.iter().filter(|host| of(&host.end)).count();
        let counts = [
            (count(|end| matches!(end, End::Cancelled { .. })), "stopped"),
            (count(|end| *end == End::Done), "had finished"),
            (count(|end| *end == End::NeverStarted), "had not started"),
        ];
        let mut text = String::new();
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
            let hosts = if count == 1 { "host" } else { "hosts" };
            let other = if blamed.is_some() { "other " } else { "" };
            text.push_str(&format!("; {count} {other}{hosts} {what}"));
        }
        for host in &self.hosts {
            match &host.end {
                End::GivenUp { why } => text.push_str(&format!("; host {} {why}", host.host)),
                End::Failed(error) if Some(&host.host) != blamed => {
                    text.push_str(&format!("; host {}: {}", host.host, error.message));
                }
                _ => {}
            }
        }
        text
    }
}
