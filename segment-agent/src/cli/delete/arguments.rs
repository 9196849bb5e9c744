//! The arguments of `delete`, which a cluster and a single server have in common, and the rules they stand for.

use chrono::Utc;
use clap::{ArgAction, Args};

use crate::backups::Wanted;
use crate::cli;
use crate::error::{Error, Result};
use crate::retain::select::{Modifier, Place, Rule};

/// Flags of every form of `delete`.
#[derive(Clone, Debug, Args)]
pub struct DeleteFlags {
    /// Really delete; without it the plan is printed and nothing is changed
    #[arg(long, global = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    pub confirm: bool,
    /// Print the plan as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Metadata that cannot be read protects nothing
    #[arg(long, global = true, hide = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    pub force_delete: bool,
}

/// Remove what is older than a backup or a point in time
///
///   before base_0123              keep everything from base_0123 on
///   before FIND_FULL base_0123    keep everything from the full backup of base_0123 on
#[derive(Clone, Debug, Args)]
#[command(verbatim_doc_comment)]
#[group(skip)]
pub struct Before {
    /// Name (or its beginning) or RFC 3339 time, after FIND_FULL or alone
    #[arg(num_args = 1..=2, required = true, value_name = "[FIND_FULL] NAME|TIME")]
    arguments: Vec<String>,
}

/// Keep the newest backups
///
///   retain 5              keep 5 backups
///   retain FULL 5         keep 5 full backups and all deltas of them
///   retain FIND_FULL 5    find the full backup of the 5th and keep everything from it on
#[derive(Clone, Debug, Args)]
#[command(verbatim_doc_comment)]
#[group(skip)]
pub struct Retain {
    /// How many, after FULL or FIND_FULL or alone
    #[arg(num_args = 1..=2, required = true, value_name = "[FULL|FIND_FULL] COUNT", allow_negative_numbers = true)]
    arguments: Vec<String>,
}

/// Remove one backup and what is based on it
///
///   target base_0123              remove base_0123 and all its deltas
///   target FIND_FULL base_0123    remove all backups that share the full backup of base_0123
#[derive(Clone, Debug, Args)]
#[command(verbatim_doc_comment)]
#[group(skip)]
pub struct Target {
    /// Name or LATEST, after FIND_FULL or alone
    #[arg(num_args = 0..=2, value_name = "[FIND_FULL] NAME")]
    arguments: Vec<String>,
    /// The backup with this user data
    #[arg(long, value_name = "JSON")]
    target_user_data: Option<String>,
}

/// Remove all backups and the whole log
#[derive(Clone, Debug, Args)]
#[group(skip)]
pub struct Everything {
    /// Permanent backups too
    #[arg(value_parser = ["FORCE"], value_name = "FORCE")]
    force: Option<String>,
}

impl Before {
    pub fn rule(&self) -> Result<Rule> {
        let (modifier, place) = modified(&self.arguments)?;
        if modifier == Modifier::Full {
            return Err(Error::refused("unsupported modifier for delete before command", "use FIND_FULL or none"));
        }
        let place = Place::parse(place, Utc::now())?;
        Ok(Rule::Before { place, find_full: modifier == Modifier::FindFull })
    }
}

impl Retain {
    pub fn rule(&self, after: Option<&str>) -> Result<Rule> {
        let (modifier, count) = modified(&self.arguments)?;
        let count: i64 = count
            .parse()
            .map_err(|_| Error::refused(format!("the count {count:?} is not a number"), "give how many to keep"))?;
        let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
        let after = after.map(|text| Place::parse(text, Utc::now())).transpose()?;
        Ok(Rule::Retain { count, modifier, after })
    }
}

impl Target {
    /// What is asked for, and whether the whole family of its full backup is meant.
    pub fn wanted(&self) -> Result<(Wanted, bool)> {
        let incorrect = || Error::refused("incorrect arguments", "give [FIND_FULL] NAME, or --target-user-data JSON");
        let (find_full, name) = match self.arguments.as_slice() {
            [] => (false, None),
            [word] if word == "FIND_FULL" && self.target_user_data.is_some() => (true, None),
            [name] => (false, Some(name.as_str())),
            [modifier, name] if modifier == "FIND_FULL" => (true, Some(name.as_str())),
            _ => return Err(incorrect()),
        };
        if name.is_some() == self.target_user_data.is_some() {
            return Err(incorrect());
        }
        Ok((cli::wanted(name, self.target_user_data.as_deref())?, find_full))
    }
}

impl Everything {
    pub fn is_forced(&self) -> bool {
        self.force.is_some()
    }
}

fn modified(arguments: &[String]) -> Result<(Modifier, &str)> {
    match arguments {
        [one] => Ok((Modifier::None, one)),
        [word, one] if word == "FULL" => Ok((Modifier::Full, one)),
        [word, one] if word == "FIND_FULL" => Ok((Modifier::FindFull, one)),
        [word, ..] => Err(Error::refused(format!("unknown modifier {word:?}"), "use FULL or FIND_FULL")),
        [] => Err(Error::refused("insufficient arguments", "see delete --help")),
    }
}
