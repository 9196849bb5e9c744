//! Whether the next backup is a delta, and of which backup: WAL-G's rules, as a function of the settings and of the backup that
//! was found. The same for a cluster and for a single server.

use formats::BackupName;

use crate::backups::Wanted;

/// What a delta of the newest backup is based on (WALG_DELTA_ORIGIN).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// That backup.
    #[default]
    Latest,
    /// The full backup at the root of its chain.
    LatestFull,
}

/// What the command line and the settings ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// A full backup, whatever the rest says.
    pub full: bool,
    /// Most deltas after a full backup (WALG_DELTA_MAX_STEPS).
    pub max_steps: u32,
    pub origin: Origin,
    pub from: Wanted,
    /// The new backup will be permanent.
    pub permanent: bool,
}

/// The backup that was found for [`Wish::from`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub name: BackupName,
    /// Root of its chain; its own name if it is a full backup.
    pub full_name: BackupName,
    /// Deltas from there to it.
    pub count: u32,
    pub is_permanent: bool,
}

/// What the next backup will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Full; why, in words for the log.
    Full(&'static str),
    Delta {
        base: BackupName,
        full_name: BackupName,
        /// Deltas since the full backup, this one included. With [`Origin::LatestFull`] it counts on, so that the limit holds.
        count: u32,
    },
}

impl Wish {
    /// False: a full backup, whichever backups there are.
    pub fn wants_delta(&self) -> bool {
        !self.full && self.max_steps > 0
    }

    /// `candidate`: nothing if there is no backup yet.
    pub fn choose(&self, candidate: Option<Candidate>) -> Choice {
        let Some(candidate) = candidate.filter(|_| self.wants_delta()) else {
            return Choice::Full(if self.wants_delta() { NO_BACKUP } else { ASKED_FOR });
        };
        let count = candidate.count.saturating_add(1);
        if count > self.max_steps {
            return Choice::Full(MAX_STEPS);
        }
        // A full backup under a delta that must go some day would be kept for nothing but that.
        if candidate.is_permanent && !self.permanent && self.origin == Origin::Latest {
            return Choice::Full(PERMANENT);
        }
        let Candidate { name, full_name, .. } = candidate;
        let base = if self.origin == Origin::LatestFull { full_name.clone() } else { name };
        Choice::Delta { base, full_name, count }
    }
}

const ASKED_FOR: &str = "Doing full backup.";
const NO_BACKUP: &str = "Couldn't find previous backup. Doing full backup.";
const MAX_STEPS: &str = "Reached max delta steps. Doing full backup.";
const PERMANENT: &str = "Can't do a delta backup from permanent backup. Doing full backup.";

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> BackupName {
        BackupName::new(text).unwrap()
    }

    fn wish(max_steps: u32) -> Wish {
        Wish { full: false, max_steps, origin: Origin::Latest, from: Wanted::Latest, permanent: false }
    }

    /// Backup `b<count>` of the chain over `b0`.
    fn candidate(count: u32) -> Candidate {
        Candidate { name: name(&format!("b{count}")), full_name: name("b0"), count, is_permanent: false }
    }

    fn delta(base: &str, count: u32) -> Choice {
        Choice::Delta { base: name(base), full_name: name("b0"), count }
    }

    #[test]
    fn the_table_of_decisions() {
        let permanent = || Candidate { is_permanent: true, ..candidate(0) };
        let latest_full = |steps| Wish { origin: Origin::LatestFull, ..wish(steps) };
        let cases = [
            ("no settings", wish(0), Some(candidate(0)), Choice::Full(ASKED_FOR)),
            ("--full", Wish { full: true, ..wish(7) }, Some(candidate(0)), Choice::Full(ASKED_FOR)),
            ("the first backup", wish(7), None, Choice::Full(NO_BACKUP)),
            ("after a full one", wish(1), Some(candidate(0)), delta("b0", 1)),
            ("after the only step", wish(1), Some(candidate(1)), Choice::Full(MAX_STEPS)),
            ("after a delta", wish(2), Some(candidate(1)), delta("b1", 2)),
            ("beyond a limit that was lowered", wish(2), Some(candidate(9)), Choice::Full(MAX_STEPS)),
            ("over a permanent backup", wish(7), Some(permanent()), Choice::Full(PERMANENT)),
            ("both permanent", Wish { permanent: true, ..wish(7) }, Some(permanent()), delta("b0", 1)),
            ("permanent alone", Wish { permanent: true, ..wish(7) }, Some(candidate(1)), delta("b1", 2)),
            ("over the full backup", latest_full(7), Some(candidate(2)), delta("b0", 3)),
            ("over a permanent full backup", latest_full(7), Some(permanent()), delta("b0", 1)),
            ("the limit over the full backup", latest_full(2), Some(candidate(2)), Choice::Full(MAX_STEPS)),
        ];
        for (case, wish, candidate, expected) in cases {
            assert_eq!(wish.choose(candidate), expected, "{case}");
        }
    }
}
