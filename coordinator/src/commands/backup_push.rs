//! `backup-push`: the cluster, backed up.
//!
//! Preflight; then every segment is backed up, in full or as a delta of an earlier backup, all hosts at once; then a restore point of the backup's name is created, the
//! log is switched, and the log from every segment's start to the point is proved to be in the archive. Only then is the
//! restore point stored, and the cluster sentinel last: a backup that is listed can be restored to a consistent cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{ArgAction, Args};
use coordinator::fanout::Verdict;
use coordinator::progress::Progress;
use formats::cluster::{ClusterSentinel, RestorePoint, SegmentMetadata};
use formats::lease::LeaseKind;
use formats::wire::{PushedSegment, SegmentResult, Work};
use formats::{BackupId, BackupName, ContentId, DATE_FORMAT, Timestamp, layout};
use pgclient::greenplum;
use segment_agent::cli::{self, DeltaFlags};
use segment_agent::delta::Wish;
use segment_agent::lease::Lease;
use segment_agent::repository::Repository;

use super::backup_mark;
use super::delta::{self, Plan};
use super::preflight;
use super::restore_point::{self, Point, Stretch};
use super::row_counts;
use crate::cluster::{Cluster, Node};
use crate::error::{Error, Result};
use crate::session::Session;

/// Until a taken name may have given way to the next second's.
const NAME_PAUSE: Duration = Duration::from_millis(100);
const NAME_ATTEMPTS: u32 = 50;

/// The restore point is tried so often before the push gives up.
const POINT_ATTEMPTS: u32 = 5;

/// Back up all primaries and the coordinator, and make them consistent with a restore point
#[derive(Debug, Args)]
pub struct BackupPush {
    /// Never removed by a delete command
    #[arg(short, long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    permanent: bool,
    /// Any JSON value, stored with the backup; WALG_SENTINEL_USER_DATA is used where this is absent
    #[arg(long, value_name = "JSON")]
    add_user_data: Option<String>,
    /// Store rows and sums of every table, for `drill` to compare: of the tables that did not change meanwhile
    #[arg(long)]
    row_counts: bool,
    #[command(flatten)]
    delta: DeltaFlags,
}

pub async fn run(session: &Session, arguments: BackupPush) -> Result<()> {
    let user_data = arguments.add_user_data.as_deref().or(session.settings.get("WALG_SENTINEL_USER_DATA"));
    let user_data = cli::user_data(user_data)?;
    let wish = arguments.delta.wish(&session.settings, arguments.permanent)?;
    let repository = session.repository()?;
    let work = "a backup that is being prepared";
    session
        .under_lease(&repository, LeaseKind::Push, work, async |lease| {
            push(session, &repository, lease, &wish, user_data, arguments.row_counts).await
        })
        .await
}

async fn push(
    session: &Session,
    repository: &Repository,
    lease: &Lease,
    wish: &Wish,
    user_data: Option<serde_json::Value>,
    rows: bool,
) -> Result<()> {
    let cluster = Cluster::discover(&session.settings).await?;
    preflight::run(session, &cluster.nodes).await?;
    greenplum::lock_backups(&cluster.server).await?;
    leave_stale_backup_mode(session, &cluster).await?;

    let plan = delta::plan(repository, wish).await?;
    plan.iter().for_each(|plan| plan.warn_of_missing(&cluster.nodes));
    let names = unused_names(repository, plan.as_ref()).await?;
    lease.describe(&format!("backup {}", names.of(plan.is_some()))).await?;
    let start_time = now();
    tracing::info!("backup {}: {} segments", names.of(plan.is_some()), cluster.nodes.len());
    let pushed = push_segments(session, &cluster.nodes, plan.as_ref(), wish.permanent).await?;
    // Every segment may have found a reason for a full backup: then nothing of the base is needed.
    let plan = plan.filter(|_| pushed.values().any(|segment| segment.delta_from.is_some()));
    let name = names.of(plan.is_some()).clone();
    let before = row_counts::before(session, &cluster, rows).await;
    let (name, point) = make_consistent(session, repository, &cluster, plan.as_ref(), name, &pushed).await?;

    row_counts::store(session, &cluster, repository, &name, before).await;
    let finish_time = now();
    lease.confirm().await?;
    let point = point.document(&cluster, name.as_str(), start_time, finish_time).await?;
    repository.put_json(&layout::restore_point_key(name.as_str()), &point).await?;
    let sentinel = ClusterSentinel {
        restore_point: Some(name.as_str().to_owned()),
        segments: segments(&cluster.nodes, &pushed, &point.lsn_by_segment),
        user_data,
        start_time,
        finish_time,
        date_format: DATE_FORMAT.to_owned(),
        hostname: point.hostname.clone(),
        gp_version: cluster.version_text(),
        gp_flavor: cluster.flavor_text().to_owned(),
        is_permanent: wish.permanent,
        system_identifier: point.system_identifier,
        uncompressed_size: pushed.values().map(|segment| segment.uncompressed_bytes).sum(),
        compressed_size: pushed.values().map(|segment| segment.compressed_bytes).sum(),
        data_catalog_size: pushed.values().map(|segment| segment.data_catalog_bytes).sum(),
        increment_from: plan.as_ref().map(|plan| plan.base.clone()),
        increment_full_name: plan.as_ref().map(|plan| plan.full_name.clone()),
        increment_count: plan.as_ref().map(|plan| plan.count),
    };
    if let (Some(plan), true) = (&plan, wish.permanent) {
        // What a permanent delta needs is permanent before the delta exists.
        backup_mark::make_permanent(repository, &plan.base).await?;
    }
    repository.put_json(&layout::sentinel_key(&name), &sentinel).await?;
    renew_point(repository, &name, &point).await;
    tracing::info!("Wrote backup with name {name} to storage default");
    Ok(())
}

/// WAL-G stores the restore point after the sentinel, and its deletions remove whatever was stored before the sentinel of the
/// oldest backup they keep. So the document is stored once more; until then the backup can be restored as well.
async fn renew_point(repository: &Repository, name: &BackupName, point: &RestorePoint) {
    if let Err(error) = repository.put_json(&layout::restore_point_key(name.as_str()), point).await {
        tracing::warn!("a deletion by WAL-G may remove the restore point of {name}: {error}");
    }
}

/// A push that died may have left exclusive backups open (Greenplum 6); the lock proves that none is under way.
async fn leave_stale_backup_mode(session: &Session, cluster: &Cluster) -> Result<()> {
    let stale = greenplum::contents_in_backup(&cluster.server).await?;
    if stale.is_empty() {
        return Ok(());
    }
    tracing::warn!("ending backups that an earlier run left open on content ids {stale:?}");
    let nodes: Vec<_> = cluster.nodes.iter().filter(|node| stale.contains(&node.content.0)).cloned().collect();
    let coordinator = cluster.nodes.iter().find(|node| node.is_coordinator()).map_or("", |node| node.hostname.as_str());
    session.run(session.jobs_beside(&nodes, coordinator, |_| Work::LeaveBackupMode)?, |_, _| {}).await?;
    Ok(())
}

/// What the backup is called, whichever it becomes.
struct Names {
    full: BackupName,
    delta: Option<BackupName>,
}

impl Names {
    fn of(&self, is_delta: bool) -> &BackupName {
        self.delta.as_ref().filter(|_| is_delta).unwrap_or(&self.full)
    }
}

/// Names have seconds: where this one's is taken, the next one's is not.
async fn unused_names(repository: &Repository, plan: Option<&Plan>) -> Result<Names> {
    let mut taken = None;
    for _ in 0..NAME_ATTEMPTS {
        let time = chrono::Local::now().naive_local();
        let delta = plan.map(|plan| delta_name(time, &plan.base)).transpose()?;
        let names = Names { full: layout::cluster_backup_name(time), delta };
        taken = None;
        for name in names.delta.iter().chain([&names.full]) {
            if repository.store().head(&layout::sentinel_key(name)).await?.is_some() {
                taken = Some(name.clone());
            }
        }
        if taken.is_none() {
            return Ok(names);
        }
        tokio::time::sleep(NAME_PAUSE).await;
    }
    let name = taken.map(|name| name.to_string()).unwrap_or_default();
    Err(Error::refused(format!("a backup named {name} exists already"), "see whether the clock of this host is right"))
}

fn delta_name(time: chrono::NaiveDateTime, base: &BackupName) -> Result<BackupName> {
    layout::cluster_delta_name(time, base).ok_or_else(|| {
        let what = format!("a delta cannot be named after {base}, which holds no time");
        Error::refused(what, "make a full backup with --full, or choose another base with --delta-from-name")
    })
}

async fn push_segments(
    session: &Session,
    nodes: &[Node],
    plan: Option<&Plan>,
    permanent: bool,
) -> Result<BTreeMap<ContentId, PushedSegment>> {
    let jobs = session.jobs(nodes, |nodes| Work::Push {
        ids: nodes.iter().map(|_| BackupId::new(uuid::Uuid::new_v4().to_string())).collect(),
        bases: nodes.iter().map(|node| plan.and_then(|plan| plan.base_of(node.content))).collect(),
        permanent,
    })?;
    let mut progress = Progress::new("backing up");
    let outcome = session.run(jobs, |host, entry| progress.observe(host, entry)).await;
    progress.finish();
    let verdict = outcome?;
    report_memory(&verdict);
    let pushed: BTreeMap<_, _> = verdict
        .results()
        .into_iter()
        .filter_map(|(content, result)| match result {
            SegmentResult::Pushed(pushed) => Some((content, pushed.clone())),
            _ => None,
        })
        .collect();
    match nodes.iter().find(|node| !pushed.contains_key(&node.content)) {
        None => Ok(pushed),
        Some(node) => {
            let what =
                format!("host {}: the agent did not report the backup of content {}", node.hostname, node.content);
            Err(Error::refused(what, "look into the agent's log on that host, then run the backup again"))
        }
    }
}

fn report_memory(verdict: &Verdict) {
    for host in &verdict.hosts {
        tracing::info!("host {}: the agent used {} MiB of memory at most", host.host, host.peak_memory_bytes >> 20);
    }
}

/// Creates the restore point and waits until the log up to it is archived. Returns the name that point and backup have.
async fn make_consistent(
    session: &Session,
    repository: &Repository,
    cluster: &Cluster,
    plan: Option<&Plan>,
    name: BackupName,
    pushed: &BTreeMap<ContentId, PushedSegment>,
) -> Result<(BackupName, Point)> {
    let (name, point) = create_point(session, repository, cluster, plan, name).await?;
    let stretches = point.stretches(|content| {
        let segment = pushed.get(&content)?;
        Some(Stretch {
            from: segment.start_lsn,
            timeline: segment.timeline,
            segment_size_bytes: segment.segment_size_bytes,
        })
    })?;
    restore_point::prove_archived(session, repository, &stretches).await?;
    Ok((name, point))
}

/// A failed attempt may have left the name in the log of some segments, so each further one, and the backup with it, takes
/// another name: what was copied for hours is not given up for one failure.
async fn create_point(
    session: &Session,
    repository: &Repository,
    cluster: &Cluster,
    plan: Option<&Plan>,
    mut name: BackupName,
) -> Result<(BackupName, Point)> {
    for attempt in 1..POINT_ATTEMPTS {
        match restore_point::create(session, cluster, name.as_str()).await {
            Ok(point) => return Ok((name, point)),
            Err(error) if session.cancel.is_cancelled() => return Err(error),
            Err(error) => tracing::info!("attempt {attempt} to create the restore point failed: {error}"),
        }
        name = another_name(repository, plan, &name).await?;
        tracing::info!("the backup is called {name} from now on");
    }
    let point = restore_point::create(session, cluster, name.as_str()).await?;
    Ok((name, point))
}

/// The name of a later second than `used`.
async fn another_name(repository: &Repository, plan: Option<&Plan>, used: &BackupName) -> Result<BackupName> {
    loop {
        let name = unused_names(repository, plan).await?.of(plan.is_some()).clone();
        if name != *used {
            return Ok(name);
        }
        tokio::time::sleep(NAME_PAUSE).await;
    }
}

fn segments(
    nodes: &[Node],
    pushed: &BTreeMap<ContentId, PushedSegment>,
    lsns: &BTreeMap<ContentId, pgdata::Lsn>,
) -> Vec<SegmentMetadata> {
    let described = nodes.iter().filter_map(|node| {
        let segment = pushed.get(&node.content)?;
        Some(SegmentMetadata {
            db_id: node.db_id,
            content_id: node.content,
            role: "p".to_owned(),
            port: node.port,
            hostname: node.hostname.clone(),
            data_dir: node.data_dir.to_string_lossy().into_owned(),
            backup_id: segment.backup_id.clone(),
            backup_name: segment.backup_name.clone(),
            restore_point_lsn: lsns.get(&node.content).copied(),
        })
    });
    described.collect()
}

/// UTC, rounded up to microseconds as WAL-G does.
pub fn now() -> Timestamp {
    Timestamp(chrono::Utc::now().fixed_offset()).rounded_up_to_micros()
}
