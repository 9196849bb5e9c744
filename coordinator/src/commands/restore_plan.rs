//! What a `backup-fetch` restores, and where to: decided before any host is spoken to.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use coordinator::catalog::{self, Choice, Target};
use formats::cluster::SegmentMetadata;
use formats::selection::Selector;
use formats::{BackupName, ContentId, Timestamp};
use restore_configs::{Place, RestoreConfig};

use super::backup_fetch::{BackupFetch, read_restore_config};
use crate::cluster::Node;
use crate::error::{Error, Result};
use crate::session::Session;

/// What is restored, and where to.
pub struct Plan {
    pub choice: Choice,
    pub config: RestoreConfig,
    /// All places that belong to a segment of the backup.
    pub places: Vec<Node>,
    /// Those that this run works on, with the backup each is restored from.
    pub chosen: Vec<Node>,
    pub sources: BTreeMap<ContentId, BackupName>,
    /// Databases and tables; all if there are none.
    pub only: Vec<Selector>,
    /// New directories of tablespaces.
    tablespaces: BTreeMap<ContentId, BTreeMap<String, String>>,
    /// Host name of the coordinator's place.
    pub coordinator: String,
    /// What lies between the restore point and the time that was asked for, in words.
    pub lost: Option<String>,
}

impl Plan {
    /// For the wire: one entry per node, none at all where no tablespace moves.
    pub fn tablespaces_of(&self, nodes: &[&Node]) -> Vec<BTreeMap<String, String>> {
        let of = |node: &&Node| self.tablespaces.get(&node.content).cloned().unwrap_or_default();
        let all: Vec<_> = nodes.iter().map(of).collect();
        if all.iter().all(BTreeMap::is_empty) { Vec::new() } else { all }
    }
}

pub async fn plan(session: &Session, arguments: BackupFetch) -> Result<Plan> {
    let only = segment_agent::cli::selectors(&arguments.restore_only)?;
    let user_data =
        arguments.target_user_data.or_else(|| session.settings.get("WALG_FETCH_TARGET_USER_DATA").map(str::to_owned));
    let target = Target::from_arguments(&catalog::Arguments {
        backup: arguments.backup_name,
        user_data,
        restore_point: arguments.restore_point,
        restore_point_ts: arguments.restore_point_ts,
        as_of: arguments.as_of.clone(),
    })?;
    let config = match (arguments.in_place, &arguments.restore_config) {
        (true, _) => None,
        (false, Some(path)) => Some(RestoreConfig::parse(&read_restore_config(path)?)?),
        (false, None) => {
            return Err(Error::refused(
                "no restore config is given",
                "add --restore-config FILE, or --in-place to restore to where the backup was made; `damson backup-fetch --help` shows its form",
            ));
        }
    };
    let choice = catalog::choose(session.repository()?.store(), &target).await?;
    let lost = arguments.as_of.as_deref().and_then(|asked| asked.parse().ok()).and_then(|asked| lost(&choice, asked));
    let config = config.unwrap_or_else(|| places_of(&choice));
    Ok(Plan { only, lost, ..lay_out(choice, config, arguments.content_ids.as_deref())? })
}

/// Where the backup was made.
fn places_of(choice: &Choice) -> RestoreConfig {
    let place = |segment: &SegmentMetadata| {
        let place = Place {
            hostname: segment.hostname.clone(),
            port: segment.port,
            data_dir: segment.data_dir.clone().into(),
            tablespaces: BTreeMap::new(),
        };
        (segment.content_id.0, place)
    };
    let primaries = choice.sentinel.segments.iter().filter(|segment| segment.role == "p");
    RestoreConfig { segments: primaries.map(place).collect(), mirrors: BTreeMap::new(), standby: None }
}

/// Every primary of the backup gets its place.
pub fn lay_out(choice: Choice, config: RestoreConfig, content_ids: Option<&[i32]>) -> Result<Plan> {
    let (primaries, others): (Vec<_>, Vec<_>) =
        choice.sentinel.segments.iter().partition(|segment| segment.role == "p");
    for segment in others {
        tracing::warn!(
            "content {} with role {} is skipped: only primaries are restored",
            segment.content_id,
            segment.role
        );
    }
    let contents: Vec<i32> = primaries.iter().map(|segment| segment.content_id.0).collect();
    let placed = config.for_contents(&contents)?;
    let node = |(segment, (_, place)): (&&SegmentMetadata, &(i32, &Place))| Node {
        db_id: segment.db_id,
        content: segment.content_id,
        hostname: place.hostname.clone(),
        port: place.port,
        data_dir: place.data_dir.clone(),
    };
    let places: Vec<Node> = primaries.iter().zip(&placed).map(node).collect();
    let moves = |place: &Place| {
        let pairs = place.tablespaces.iter().map(|(from, to)| (from.clone(), to.to_string_lossy().into_owned()));
        pairs.collect::<BTreeMap<_, _>>()
    };
    let tablespaces = placed.iter().map(|(content, place)| (ContentId(*content), moves(place))).collect();
    let sources = primaries.iter().map(|segment| (segment.content_id, segment.backup_name.clone())).collect();
    let chosen = choose_contents(&places, content_ids)?;
    let coordinator =
        places.iter().find(|node| node.is_coordinator()).map(|node| node.hostname.clone()).unwrap_or_default();
    Ok(Plan { choice, config, places, chosen, sources, only: Vec::new(), tablespaces, coordinator, lost: None })
}

pub fn choose_contents(places: &[Node], content_ids: Option<&[i32]>) -> Result<Vec<Node>> {
    let Some(wanted) = content_ids else { return Ok(places.to_vec()) };
    if let Some(unknown) = wanted.iter().find(|id| !places.iter().any(|node| node.content.0 == **id)) {
        let known: Vec<_> = places.iter().map(|node| node.content.to_string()).collect();
        return Err(Error::refused(
            format!("the backup has no content id {unknown}"),
            format!("it has {}", known.join(", ")),
        ));
    }
    Ok(places.iter().filter(|node| wanted.contains(&node.content.0)).cloned().collect())
}

/// What a restore as of `asked` gives up.
fn lost(choice: &Choice, asked: Timestamp) -> Option<String> {
    let reached = choice.target_time?;
    let between = span(asked.0.signed_duration_since(reached.0));
    let point = &choice.recovery_target;
    Some(format!(
        "restore point {point}, finished at {reached}, is the newest at or before {asked}: what was committed in the {between} \
         between the two is not restored"
    ))
}

/// `2 days 3 h`, `4 min 5 s`, `0 s`: the two largest units.
fn span(time: TimeDelta) -> String {
    let seconds = time.num_seconds().max(0);
    let parts =
        [(seconds / 86400, "days"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "min"), (seconds % 60, "s")];
    let first = parts.iter().position(|(count, _)| *count > 0).unwrap_or(3);
    let shown = parts[first..].iter().take(2).filter(|(count, unit)| *count > 0 || *unit == "s");
    let shown: Vec<_> = shown.map(|(count, unit)| format!("{count} {unit}")).collect();
    shown.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_in_words() {
        for (seconds, text) in
            [(0, "0 s"), (59, "59 s"), (60, "1 min 0 s"), (3600, "1 h"), (3661, "1 h 1 min"), (200_000, "2 days 7 h")]
        {
            assert_eq!(span(TimeDelta::seconds(seconds)), text);
        }
    }
}
