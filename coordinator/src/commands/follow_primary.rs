//! `follow-primary`: a restored cluster replays on to a later restore point and stops there again.
//!
//! First everything is checked that could keep a server from arriving: it must still be in recovery, and its log up to the point
//! must be archived. Then recovery settings are written, servers started, and waited for until all have shut down at the point.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use coordinator::catalog::{RestorePoints, select};
use coordinator::recovery;
use formats::ContentId;
use formats::cluster::RestorePoint;
use formats::layout::WAL;
use formats::server::{Archiving, Purpose, ServerAction, ServerPhase, ServerState};
use formats::wire::{RecoverySettings, Work};
use pgdata::{Lsn, SegmentSize, TimelineId};
use restore_configs::RestoreConfig;
use segment_agent::repository::Repository;
use segment_agent::wal::{self, Range};

use super::backup_fetch::read_restore_config;
use super::servers::Servers;
use crate::cluster::{Node, nodes_of_config};
use crate::error::{Error, Result};
use crate::session::Session;

/// Replay the log of a restored cluster up to a restore point, and shut it down there
///
/// The cluster must have been restored with backup-fetch and must not have left recovery. It can follow its source again and
/// again. To use it: damson recovery-action promote, then damson cluster-start.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct FollowPrimary {
    /// Name of the restore point, or LATEST
    restore_point: String,
    /// Where the segments were restored to
    #[arg(long, value_name = "FILE")]
    restore_config: PathBuf,
    /// How many seconds the servers may take
    #[arg(short, long, value_name = "SECONDS", default_value_t = 60000)]
    timeout: u64,
}

pub async fn run(session: &Session, arguments: FollowPrimary) -> Result<()> {
    let nodes = nodes_of_config(&RestoreConfig::parse(&read_restore_config(&arguments.restore_config)?)?);
    let repository = session.repository()?;
    let point = find_point(&repository, &arguments.restore_point).await?;
    every_segment_has_a_place(&point, &nodes)?;
    let servers = Servers::new(session, &nodes);
    let states = servers.states("looking", &nodes, |_| ServerAction::Look).await?;
    for (content, state) in &states {
        can_follow(*content, state)?;
    }
    log_is_archived(&repository, &point, &states).await?;

    tracing::info!("{} servers follow to the restore point {}", nodes.len(), point.name);
    servers.act("stopping", &nodes, |_| ServerAction::Stop).await?;
    write_settings(session, &nodes, &point).await?;
    let start = ServerAction::Start { purpose: Purpose::Follow, archiving: Archiving::Kept };
    servers.act("starting", &nodes, |_| start.clone()).await?;
    let timeout_seconds = arguments.timeout;
    let target = |node: &Node| point.lsn_by_segment.get(&node.content).copied();
    let wait = |node: &Node| ServerAction::AwaitShutdown { target: target(node), timeout_seconds };
    servers.act("recovering", &nodes, wait).await?;
    tracing::info!("{} servers have shut down at the restore point {}", nodes.len(), point.name);
    Ok(())
}

async fn find_point(repository: &Repository, name: &str) -> Result<RestorePoint> {
    let points = RestorePoints::load(repository.store()).await?;
    let name = match points.entries().last() {
        Some(newest) if name == select::LATEST => newest.name.clone(),
        None if name == select::LATEST => {
            let what = "there is no restore point in the storage";
            return Err(Error::refused(what, "make one on the source: damson create-restore-point NAME"));
        }
        _ => name.to_owned(),
    };
    Ok(points.document(&name).await?)
}

fn every_segment_has_a_place(point: &RestorePoint, nodes: &[Node]) -> Result<()> {
    let placed = |content: &ContentId| nodes.iter().any(|node| node.content == *content);
    if let Some(content) = point.lsn_by_segment.keys().find(|content| !placed(content)) {
        let what =
            format!("could not find content ID {content} of the restore point in the provided restore configuration");
        return Err(Error::refused(what, "add it"));
    }
    match nodes.iter().find(|node| !point.lsn_by_segment.contains_key(&node.content)) {
        None => Ok(()),
        Some(node) => {
            let what = format!("the restore point {} has no content id {}", point.name, node.content);
            Err(Error::refused(what, "take it out of the restore config, or choose a later restore point"))
        }
    }
}

fn can_follow(content: ContentId, state: &ServerState) -> Result<()> {
    let follows = state.recovery_pending || state.unprepared || state.phase == ServerPhase::ShutDownInRecovery;
    if follows && state.phase != ServerPhase::Serving {
        return Ok(());
    }
    let what = format!("content {content} has left recovery: it writes a log of its own and cannot follow its source");
    Err(Error::refused(what, "restore the cluster anew, and start it with follow-primary or recovery-action shutdown"))
}

/// Every missing file is told.
async fn log_is_archived(
    repository: &Repository,
    point: &RestorePoint,
    states: &BTreeMap<ContentId, ServerState>,
) -> Result<()> {
    let mut missing = 0;
    for (content, state) in states {
        let Some(to) = point.lsn_by_segment.get(content).copied() else { continue };
        let segment = repository.segment(*content);
        let size = SegmentSize::new(state.segment_size_bytes).map_err(|error| {
            Error::refused(error.to_string(), "the agent reported a wrong log segment size; please report it")
        })?;
        let timeline = match timeline(point, *content) {
            Some(timeline) => timeline,
            None => timeline_in_archive(&segment, *content, to, size).await?,
        };
        // On another timeline the log begins somewhere that only the server's history knows.
        let from = if timeline == state.timeline { state.redo_lsn.min(to) } else { Lsn(to.0.saturating_sub(1)) };
        for name in wal::missing(&segment, &Range { timeline, from, to, size }.file_names()).await? {
            missing += 1;
            tracing::warn!("content {content}: log file {name} is not archived");
        }
    }
    if missing > 0 {
        let what = format!("WAL file was not uploaded for all segments and master: {missing} files are missing");
        return Err(Error::refused(what, "see whether archiving works on the source, then run the command again"));
    }
    Ok(())
}

/// Timeline of a segment at the point; older documents tell that of the coordinator alone.
fn timeline(point: &RestorePoint, content: ContentId) -> Option<TimelineId> {
    let known = point.timeline_by_segment.get(&content).copied();
    let of_coordinator = (content == ContentId::COORDINATOR).then_some(point.timeline);
    known.or(of_coordinator).filter(|timeline| timeline.0 > 0)
}

/// The only timeline on which the archive has the file of position `to`.
async fn timeline_in_archive(
    segment: &Repository,
    content: ContentId,
    to: Lsn,
    size: SegmentSize,
) -> Result<TimelineId> {
    let wanted = Range { timeline: TimelineId(0), from: to, to, size }.file_names().pop().unwrap_or_default();
    let listing = segment.store().list_folder(WAL).await?;
    let names = listing.objects.iter().filter_map(|object| object.key.rsplit('/').next());
    let found = names.filter(|name| name.get(8..24).is_some() && name.get(8..24) == wanted.get(8..24));
    let mut timelines: Vec<u32> =
        found.filter_map(|name| u32::from_str_radix(name.get(..8).unwrap_or_default(), 16).ok()).collect();
    timelines.sort_unstable();
    timelines.dedup();
    match timelines.as_slice() {
        [only] => Ok(TimelineId(*only)),
        others => {
            let what = format!(
                "content {content}: the restore point does not say its timeline, and the archive has its log on {} of them",
                others.len()
            );
            Err(Error::refused(what, "choose another restore point"))
        }
    }
}

async fn write_settings(session: &Session, nodes: &[Node], point: &RestorePoint) -> Result<()> {
    let capabilities = recovery::Capabilities::of(&point.gp_version, &point.gp_flavor)?;
    let recovery = RecoverySettings {
        target_name: point.name.clone(),
        target_action: Some("shutdown".to_owned()),
        signal_file: capabilities.recovery_signal,
    };
    let work = |_: &[&Node]| Work::Prepare { recovery: recovery.clone(), pg_hba: None };
    session.run(session.jobs(nodes, work)?, |_, _| {}).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn point(timelines: serde_json::Value) -> RestorePoint {
        let time = "2026-01-01T00:00:00Z";
        let document = json!({
            "name": "rp", "start_time": time, "finish_time": time, "lsn_by_segment": {"-1": "0/1", "0": "0/1"},
            "time_line": 3, "timeline_by_segment": timelines
        });
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn timelines_of_old_and_new_documents() {
        let new = point(json!({"-1": 4, "0": 5}));
        assert_eq!(timeline(&new, ContentId::COORDINATOR), Some(TimelineId(4)));
        assert_eq!(timeline(&new, ContentId(0)), Some(TimelineId(5)));
        let old = point(json!(null));
        assert_eq!(timeline(&old, ContentId::COORDINATOR), Some(TimelineId(3)));
        assert_eq!(timeline(&old, ContentId(0)), None);
    }
}
