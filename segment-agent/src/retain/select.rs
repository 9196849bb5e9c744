//! Which backups a rule lets go: pure, for the backups of a cluster and for those of a single server.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use formats::BackupName;

use super::chains::Chains;
use crate::error::{Error, Result};

/// A backup as rules see it. They are handed over oldest first, in the order that counts for the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: BackupName,
    /// What a point in time is compared with.
    pub time: DateTime<Utc>,
    pub permanent: bool,
}

/// The word before a name or a count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Modifier {
    #[default]
    None,
    /// Full backups are counted.
    Full,
    /// What is found is taken back to the full backup it is based on.
    FindFull,
}

/// A backup, or the first at or after a point in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The beginning of a name, or all of it.
    Name(String),
    Time(DateTime<Utc>),
}

impl Place {
    /// RFC 3339 is a time, anything else a name. A time after `now` is refused.
    pub fn parse(text: &str, now: DateTime<Utc>) -> Result<Self> {
        match DateTime::parse_from_rfc3339(text) {
            Ok(time) if time > now => Err(Error::refused("cannot delete before future date", "give an earlier time")),
            Ok(time) => Ok(Self::Time(time.to_utc())),
            Err(_) => Ok(Self::Name(text.to_owned())),
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    Before {
        place: Place,
        find_full: bool,
    },
    /// `after`: keep what is newer than this besides.
    Retain {
        count: usize,
        modifier: Modifier,
        after: Option<Place>,
    },
    /// `name` with all that is based on it; with `find_full` all that shares its full backup.
    Target {
        name: BackupName,
        find_full: bool,
    },
    Garbage,
}

/// What a rule comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// What is older than this backup goes.
    Before(BackupName),
    These(BTreeSet<BackupName>),
    /// No backup; only leftovers.
    Nothing,
}

/// Applies `rule`. [`Choice::Nothing`] if there are too few backups.
pub fn choose(rule: &Rule, entries: &[Entry], chains: &Chains) -> Result<Choice> {
    let bound = match rule {
        Rule::Before { place, find_full } => {
            let Some(at) = position(place, entries)? else { return Ok(Choice::Nothing) };
            back_to_full(at, *find_full, entries, chains)?
        }
        Rule::Retain { count, modifier, after } => {
            match retained(*count, *modifier, after.as_ref(), entries, chains)? {
                Some(at) => at,
                None => return Ok(Choice::Nothing),
            }
        }
        Rule::Target { name, find_full } => return target(name, *find_full, entries, chains).map(Choice::These),
        Rule::Garbage => {
            let kept = permanent_with_bases(entries, chains);
            match entries.iter().find(|entry| !kept.contains_key(&entry.name)) {
                Some(oldest) => return Ok(Choice::Before(chains.root(&oldest.name))),
                None => return Ok(Choice::Nothing),
            }
        }
    };
    Ok(entries.get(bound).map_or(Choice::Nothing, |entry| Choice::Before(entry.name.clone())))
}

/// Which backups go and stay, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Those that stay by the rule itself; the log from the oldest of them on stays whole.
    pub stay: BTreeSet<BackupName>,
    /// Those that stay besides.
    pub kept: BTreeMap<BackupName, String>,
    pub gone: BTreeMap<BackupName, String>,
}

/// Adds to a choice what must be kept. `reason`: of those that go.
pub fn settle(choice: &Choice, reason: &str, entries: &[Entry], chains: &Chains) -> Settled {
    let stays = |at: usize, entry: &Entry| match choice {
        Choice::Before(name) => entries.iter().position(|entry| entry.name == *name).is_none_or(|bound| at >= bound),
        Choice::These(names) => !names.contains(&entry.name),
        Choice::Nothing => true,
    };
    let by_rule = entries.iter().enumerate().filter(|(at, entry)| stays(*at, entry));
    let stay: BTreeSet<BackupName> = by_rule.map(|(_, entry)| entry.name.clone()).collect();
    let mut kept = permanent_with_bases(entries, chains);
    for name in &stay {
        for base in chains.ancestors(name) {
            kept.entry(base).or_insert_with(|| format!("base of {name}"));
        }
    }
    kept.retain(|name, _| !stay.contains(name));
    let goes = |entry: &&Entry| !stay.contains(&entry.name) && !kept.contains_key(&entry.name);
    let gone = entries.iter().filter(goes).map(|entry| (entry.name.clone(), reason.to_owned())).collect();
    Settled { stay, kept, gone }
}

/// The permanent backups and all that they are based on.
fn permanent_with_bases(entries: &[Entry], chains: &Chains) -> BTreeMap<BackupName, String> {
    let mut kept = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.permanent) {
        for base in chains.ancestors(&entry.name) {
            kept.entry(base).or_insert_with(|| format!("base of the permanent {}", entry.name));
        }
    }
    for entry in entries.iter().filter(|entry| entry.permanent) {
        kept.insert(entry.name.clone(), "permanent".to_owned());
    }
    kept
}

/// `None` if no backup is as new as the time.
fn position(place: &Place, entries: &[Entry]) -> Result<Option<usize>> {
    match place {
        Place::Time(time) => Ok(entries.iter().position(|entry| entry.time >= *time)),
        Place::Name(name) => {
            let exact = entries.iter().rposition(|entry| entry.name.as_str() == name);
            let begins = || entries.iter().rposition(|entry| entry.name.as_str().starts_with(name.as_str()));
            match exact.or_else(begins) {
                Some(at) => Ok(Some(at)),
                None => Err(missing(name)),
            }
        }
    }
}

fn missing(name: &str) -> Error {
    Error::refused(format!("Backup '{name}' does not exist."), "list the backups with backup-list")
}

/// What is newer than a delta cannot stand without the delta's bases.
fn back_to_full(at: usize, find_full: bool, entries: &[Entry], chains: &Chains) -> Result<usize> {
    let Some(entry) = entries.get(at).filter(|entry| chains.is_delta(&entry.name)) else { return Ok(at) };
    if !find_full {
        let what = format!(
            "{}_backup_stop_sentinel.json is incremental and it's predecessors cannot be deleted. Consider FIND_FULL option.",
            entry.name
        );
        let remedy = format!("with FIND_FULL everything before {} goes", chains.root(&entry.name));
        return Err(Error::refused(what, remedy));
    }
    let root = chains.root(&entry.name);
    Ok(entries.iter().position(|entry| entry.name == root).map_or(at, |root| root.min(at)))
}

fn retained(
    count: usize,
    modifier: Modifier,
    after: Option<&Place>,
    entries: &[Entry],
    chains: &Chains,
) -> Result<Option<usize>> {
    if count == 0 {
        let what = "cannot retain less than one backup. Check out delete everything";
        return Err(Error::refused(what, "give a number of at least 1"));
    }
    let counts = |entry: &Entry| modifier != Modifier::Full || !chains.is_delta(&entry.name);
    let newest_first = entries.iter().enumerate().rev();
    let counted = newest_first.filter(|(_, entry)| counts(entry)).nth(count - 1).map(|(at, _)| at);
    let Some(mut at) = counted else { return Ok(None) };
    if let Some(after) = after {
        // With a modifier the first full one at or after the place.
        let first = position(after, entries)?;
        let first = match modifier {
            Modifier::None => first,
            _ => first.and_then(|from| (from..entries.len()).find(|at| !chains.is_delta(&entries[*at].name))),
        };
        at = at.min(first.unwrap_or(at));
    }
    back_to_full(at, modifier == Modifier::FindFull, entries, chains).map(Some)
}

fn target(name: &BackupName, find_full: bool, entries: &[Entry], chains: &Chains) -> Result<BTreeSet<BackupName>> {
    if !entries.iter().any(|entry| entry.name == *name) {
        return Err(missing(name.as_str()));
    }
    let family = chains.family(&if find_full { chains.root(name) } else { name.clone() });
    let permanent: Vec<_> = entries
        .iter()
        .filter(|entry| entry.permanent && family.contains(&entry.name))
        .map(|entry| entry.name.as_str())
        .collect();
    if permanent.is_empty() {
        return Ok(family);
    }
    Err(Error::refused(
        format!("permanent backups are not deleted: {}", permanent.join(" ")),
        "mark them as impermanent first, with backup-mark -i",
    ))
}

/// The error of a deletion of everything that would take permanent backups along.
pub fn refuse_permanent(permanent: &[BackupName]) -> Result<()> {
    if permanent.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = permanent.iter().map(BackupName::as_str).collect();
    Err(Error::refused(
        format!("Found permanent backups=[{}]", names.join(" ")),
        "`delete everything FORCE` removes them too",
    ))
}

#[cfg(test)]
#[path = "select_tests.rs"]
mod tests;
