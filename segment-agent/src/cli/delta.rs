//! The flags and settings that make a backup a delta.

use clap::{ArgAction, Args};
use formats::segment::{ExtendedMetadata, SegmentSentinel};
use formats::{BackupName, layout};
use settings::Settings;

use super::wanted;
use crate::backups::{self, Wanted};
use crate::delta::{Candidate, Choice, Origin, Wish};
use crate::error::{Error, Result};
use crate::repository::Repository;

/// Flags of backup-push; a flag goes before the settings.
#[derive(Debug, Default, Args)]
pub struct DeltaFlags {
    /// A full backup, whatever WALG_DELTA_MAX_STEPS says
    #[arg(short, long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    full: bool,
    /// Make the delta over this backup (or LATEST); WALG_DELTA_FROM_NAME is used where this is absent
    #[arg(long, value_name = "NAME")]
    delta_from_name: Option<String>,
    /// Make the delta over the backup with this user data; WALG_DELTA_FROM_USER_DATA is used where this is absent
    #[arg(long, value_name = "JSON")]
    delta_from_user_data: Option<String>,
}

impl DeltaFlags {
    /// Refuses two selectors, and a selector together with WALG_WITHOUT_FILES_METADATA: a delta cannot do without that file.
    pub fn wish(&self, settings: &Settings, permanent: bool) -> Result<Wish> {
        let is_given = |text: &&str| !text.is_empty();
        let mut name = self.delta_from_name.as_deref().filter(is_given);
        let mut user_data = self.delta_from_user_data.as_deref().filter(is_given);
        let by_flag = name.is_some() || user_data.is_some();
        if !by_flag {
            name = settings.get("WALG_DELTA_FROM_NAME").filter(is_given);
            user_data = settings.get("WALG_DELTA_FROM_USER_DATA").filter(is_given);
        }
        if name.is_some() && user_data.is_some() {
            return Err(Error::refused(
                "the base of the delta is given both by name and by user data",
                "give --delta-from-name or --delta-from-user-data (or the setting of one of them), not both",
            ));
        }
        let is_chosen = name.is_some() || user_data.is_some();
        let from = if is_chosen { wanted(name, user_data)? } else { Wanted::Latest };
        let max_steps = max_steps(settings)?;
        let mut full = self.full;
        if settings.bool("WALG_WITHOUT_FILES_METADATA")? {
            if is_chosen && !full {
                return Err(Error::refused(
                    "a delta is asked for, but WALG_WITHOUT_FILES_METADATA is set",
                    "remove WALG_WITHOUT_FILES_METADATA from the settings, or ask for a full backup with --full",
                ));
            }
            full = true;
        }
        if by_flag && !full && max_steps == 0 {
            tracing::warn!("a full backup is made all the same: WALG_DELTA_MAX_STEPS is 0, so there are no deltas");
        }
        Ok(Wish { full, max_steps, origin: origin(settings)?, from, permanent })
    }
}

fn max_steps(settings: &Settings) -> Result<u32> {
    let steps = settings.int("WALG_DELTA_MAX_STEPS")?.unwrap_or_default();
    u32::try_from(steps).map_err(|_| {
        Error::refused(format!("WALG_DELTA_MAX_STEPS is {steps}"), "set it to a number of deltas, 0 for none")
    })
}

fn origin(settings: &Settings) -> Result<Origin> {
    match settings.get("WALG_DELTA_ORIGIN") {
        None | Some("" | "LATEST") => Ok(Origin::Latest),
        Some("LATEST_FULL") => Ok(Origin::LatestFull),
        Some(other) => {
            Err(Error::refused(format!("WALG_DELTA_ORIGIN is {other:?}"), "set it to LATEST or LATEST_FULL"))
        }
    }
}

/// What the backup is to be a delta of, and the deltas since the full backup.
pub async fn base_of(repository: &Repository, wish: &Wish) -> Result<Option<(BackupName, u32)>> {
    if !wish.wants_delta() {
        return Ok(None);
    }
    let found = match &wish.from {
        Wanted::Latest => backups::list(repository).await?.pop().map(|backup| backup.name),
        wanted => Some(backups::find(repository, wanted).await?),
    };
    let candidate = match found {
        Some(name) => Some(candidate(repository, name).await?),
        None => None,
    };
    match wish.choose(candidate) {
        Choice::Full(why) => {
            tracing::info!("{why}");
            Ok(None)
        }
        Choice::Delta { base, count, .. } => {
            tracing::info!("Delta backup from {base}.");
            Ok(Some((base, count)))
        }
    }
}

async fn candidate(repository: &Repository, name: BackupName) -> Result<Candidate> {
    let key = layout::sentinel_key(&name);
    let sentinel: Option<SegmentSentinel> = repository.find_json(&key).await?;
    let sentinel = sentinel.ok_or_else(|| {
        let what = format!("Backup '{name}' does not exist in {}", repository.store().describe());
        Error::refused(what, "list the backups with backup-list, or make a full backup with --full")
    })?;
    let base = sentinel.delta_base().map_err(|error| Error::damaged(&key, error))?;
    let (full_name, count) = base.map_or((name.clone(), 0), |base| (base.full_name, base.count));
    let metadata: Option<ExtendedMetadata> = repository.find_json(&layout::metadata_key(&name)).await?;
    let is_permanent = metadata.is_some_and(|metadata| metadata.is_permanent);
    Ok(Candidate { name, full_name, count, is_permanent })
}

#[cfg(test)]
mod tests {
    use settings::{Kind, Request};

    use super::*;

    fn wish(flags: DeltaFlags, lines: &[(&str, &str)]) -> Result<Wish> {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("c.yaml");
        std::fs::write(&config, "").unwrap();
        let set = lines.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let request = Request { config: Some(config), flags: set, kind: Kind::Postgres };
        flags.wish(&Settings::load(&request, &|_| None).unwrap(), false)
    }

    fn flags(name: &str, user_data: &str) -> DeltaFlags {
        let some = |text: &str| Some(text.to_owned());
        DeltaFlags { full: false, delta_from_name: some(name), delta_from_user_data: some(user_data) }
    }

    #[test]
    fn flags_go_before_settings() {
        let steps = ("WALG_DELTA_MAX_STEPS", "7");
        let by_name = ("WALG_DELTA_FROM_NAME", "base_1");
        let by_data = ("WALG_DELTA_FROM_USER_DATA", "{\"x\":1}");
        let named = |name: &str| Wanted::parse(name).unwrap();
        let data = Wanted::WithUserData(serde_json::json!({"x": 1}));
        let from = |flags, lines: &[_]| wish(flags, lines).unwrap().from;
        assert_eq!(from(DeltaFlags::default(), &[]), Wanted::Latest);
        assert_eq!(from(DeltaFlags::default(), &[steps, by_name]), named("base_1"));
        assert_eq!(from(DeltaFlags::default(), &[steps, by_data]), data);
        assert_eq!(from(flags("base_2", ""), &[steps, by_name]), named("base_2"));
        assert_eq!(from(flags("", "{\"x\":1}"), &[steps, by_name]), data);
        assert_eq!(from(flags("LATEST", ""), &[steps, by_data]), Wanted::Latest);
        let found = wish(DeltaFlags::default(), &[steps, ("WALG_DELTA_ORIGIN", "LATEST_FULL")]).unwrap();
        assert_eq!((found.max_steps, found.origin, found.wants_delta()), (7, Origin::LatestFull, true));
    }

    #[test]
    fn contradictions_are_refused() {
        let steps = ("WALG_DELTA_MAX_STEPS", "7");
        let without = ("WALG_WITHOUT_FILES_METADATA", "true");
        let refused = |flags, lines: &[_], text: &str| {
            let error = wish(flags, lines).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        };
        refused(flags("base_1", "1"), &[steps], "both");
        let both = [("WALG_DELTA_FROM_NAME", "base_1"), ("WALG_DELTA_FROM_USER_DATA", "1")];
        refused(DeltaFlags::default(), &both, "both");
        refused(flags("", "{"), &[steps], "not JSON");
        refused(flags("a/b", ""), &[steps], "slash");
        refused(flags("base_1", ""), &[steps, without], "WALG_WITHOUT_FILES_METADATA");
        refused(DeltaFlags::default(), &[("WALG_DELTA_ORIGIN", "OLDEST")], "OLDEST");
        refused(DeltaFlags::default(), &[("WALG_DELTA_MAX_STEPS", "-1")], "-1");
        assert!(!wish(DeltaFlags::default(), &[steps, without]).unwrap().wants_delta());
        assert!(!wish(DeltaFlags { full: true, ..flags("base_1", "") }, &[steps]).unwrap().wants_delta());
    }
}
