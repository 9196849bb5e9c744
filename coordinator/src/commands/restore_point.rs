//! Making a restore point, and proving that the log up to it is archived.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use formats::cluster::RestorePoint;
use formats::wire::{SegmentResult, Work};
use formats::{ContentId, Timestamp};
use pgclient::greenplum;
use pgdata::{Lsn, SegmentSize, TimelineId};
use segment_agent::repository::Repository;
use segment_agent::wal::{self, Range};

use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::session::Session;

/// How long the archive may take to receive the log, unless DAMSON_ARCHIVE_TIMEOUT says otherwise.
const DEFAULT_ARCHIVE_TIMEOUT: Duration = Duration::from_secs(600);

/// Between two looks into the archive: short at first, for small clusters are done at once.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How often a waiting command says what it waits for.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// A point that exists on every server, and whose log is on its way to the archive.
pub struct Point {
    pub lsns: BTreeMap<ContentId, Lsn>,
    pub timelines: BTreeMap<ContentId, TimelineId>,
}

/// Where a segment's stretch of log begins.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    pub from: Lsn,
    pub timeline: TimelineId,
    pub segment_size_bytes: u64,
}

/// Creates the point on every server of the cluster and closes their current log files. The servers are asked once: recovery
/// ends at the first record with the name, so that after a failure, which may have left the name in the log of some segments
/// only, another attempt must take another name. A session that was lost before is replaced.
pub async fn create(session: &Session, cluster: &Cluster, name: &str) -> Result<Point> {
    tracing::info!("creating restore point {name}");
    let fresh = match cluster.server.ping().await {
        Ok(()) => None,
        Err(_) => Some(Cluster::discover(&session.settings).await?),
    };
    let rows = greenplum::create_restore_point(&fresh.as_ref().unwrap_or(cluster).server, name).await?;
    close_log(session, cluster, name, rows).await
}

async fn close_log(session: &Session, cluster: &Cluster, name: &str, rows: Vec<(i32, Lsn)>) -> Result<Point> {
    let lsns: BTreeMap<_, _> = rows.into_iter().map(|(content, lsn)| (ContentId(content), lsn)).collect();
    if let Some(node) = cluster.nodes.iter().find(|node| !lsns.contains_key(&node.content)) {
        let what =
            format!("the restore point {name} was not created on content {} (host {})", node.content, node.hostname);
        return Err(Error::refused(what, "see whether that segment is up, then run the command again"));
    }
    let verdict = session.run(session.jobs(&cluster.nodes, |_| Work::SwitchWal)?, |_, _| {}).await?;
    let timelines = verdict.results().into_iter().filter_map(|(content, result)| match result {
        SegmentResult::Switched { timeline, .. } => Some((content, *timeline)),
        _ => None,
    });
    Ok(Point { lsns, timelines: timelines.collect() })
}

impl Point {
    /// The log that must be archived for this point: per segment, from where `begins` says. Segments without a beginning are
    /// left out.
    pub fn stretches(&self, begins: impl Fn(ContentId) -> Option<Stretch>) -> Result<Vec<(ContentId, Range)>> {
        stretches(&self.lsns, begins)
    }

    /// The document that is stored for the point.
    pub async fn document(
        &self,
        cluster: &Cluster,
        name: &str,
        start: Timestamp,
        finish: Timestamp,
    ) -> Result<RestorePoint> {
        Ok(RestorePoint {
            name: name.to_owned(),
            start_time: start,
            finish_time: finish,
            hostname: nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default(),
            gp_version: cluster.version_text(),
            gp_flavor: cluster.flavor_text().to_owned(),
            system_identifier: cluster.server.system_identifier().await?,
            lsn_by_segment: self.lsns.clone(),
            storage_name: String::new(),
            timeline: greenplum::coordinator_timeline(&cluster.server).await?,
            timeline_by_segment: self.timelines.clone(),
        })
    }
}

/// [`Point::stretches`] of a point with these positions.
pub fn stretches(
    lsns: &BTreeMap<ContentId, Lsn>,
    begins: impl Fn(ContentId) -> Option<Stretch>,
) -> Result<Vec<(ContentId, Range)>> {
    let mut ranges = Vec::new();
    for (content, to) in lsns {
        let Some(stretch) = begins(*content) else { continue };
        let size = SegmentSize::new(stretch.segment_size_bytes).map_err(|error| {
            Error::refused(error.to_string(), "the agent reported a wrong log segment size; please report it")
        })?;
        ranges.push((*content, Range { timeline: stretch.timeline, from: stretch.from, to: *to, size }));
    }
    Ok(ranges)
}

/// How long the archive may take to receive the log.
pub fn archive_timeout(session: &Session) -> Result<Duration> {
    Ok(session.settings.duration("DAMSON_ARCHIVE_TIMEOUT")?.unwrap_or(DEFAULT_ARCHIVE_TIMEOUT))
}

/// Waits until every file of `stretches` is in the archive. What is still missing is named, in the log while waiting and in the
/// error when the time is up.
pub async fn prove_archived(
    session: &Session,
    repository: &Repository,
    stretches: &[(ContentId, Range)],
) -> Result<()> {
    let limit = archive_timeout(session)?;
    let begin = Instant::now();
    let (mut pause, mut said) = (FIRST_PAUSE, begin);
    let mut open: Vec<(ContentId, Vec<String>)> =
        stretches.iter().map(|(content, range)| (*content, range.file_names())).collect();
    loop {
        let mut still = Vec::new();
        for (content, names) in open {
            let missing = wal::missing(&repository.segment(content), &names).await?;
            if !missing.is_empty() {
                still.push((content, missing));
            }
        }
        let Some((content, names)) = still.first() else { return Ok(()) };
        let waiting =
            format!("log file {} of content {content} ({} files in all) to be archived", names[0], count(&still));
        if begin.elapsed() >= limit {
            let what = format!("gave up waiting after {} s for {waiting}", limit.as_secs());
            let remedy = "look into that server's log for failures of archive_command and at pg_stat_archiver; once archiving works, run the command again";
            return Err(Error::refused(what, remedy));
        }
        if said.elapsed() >= SAY_EVERY {
            said = Instant::now();
            tracing::info!("waiting for {waiting}");
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = session.cancel.cancelled() => return Err(Error::Interrupted),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
        open = still;
    }
}

fn count(open: &[(ContentId, Vec<String>)]) -> usize {
    open.iter().map(|(_, names)| names.len()).sum()
}
