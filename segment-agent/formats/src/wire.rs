//! What the coordinator and an agent say to each other: one JSON document a line, over the agent's stdin and stdout.
//!
//! The agent speaks first ([`Reply::Hello`]). A *job* is one command for one host; `damson-agent` starts it detached and
//! writes its [`Event`]s, numbered from 0, to the job's journal. A [`Request::Attach`] streams the journal from a given
//! number on, so that a dropped connection loses nothing. The last event of every job is [`Event::Finished`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use pgdata::{Lsn, SystemIdentifier, TimelineId};
use serde::{Deserialize, Serialize};

use crate::selection::Selector;
use crate::server::{ServerAction, ServerResult};
use crate::{BackupId, BackupName, ContentId};

/// Raised whenever a message changes its meaning. Coordinator and agent must agree on it and on their release.
pub const PROTOCOL_VERSION: u32 = 1;

/// Name of a job: unique among the jobs of one host, made by the coordinator, `[0-9A-Za-z_-]{1,64}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub String);

/// From the coordinator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Start a job and attach to it from event 0. Starting the same id twice attaches to the running one.
    Start { job: JobId, lease_seconds: u64, spec: JobSpec },
    /// Stream the journal of `job` from event `from` on.
    Attach { job: JobId, from: u64 },
    /// The coordinator lives: renews the lease of the attached job.
    Heartbeat,
    /// What runs on this host, and what ended there within the last day: [`Reply::Jobs`], and the connection ends.
    Jobs,
    /// Stop the attached job: leave backup mode, remove unfinished uploads, then [`Outcome::Cancelled`].
    Cancel,
}

/// From the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// First line of every connection. `unix_nanos` is the host's clock, for the skew check.
    Hello { version: String, protocol: u32, host: String, unix_nanos: i64 },
    /// One line of the journal.
    Event(JournalEntry),
    /// The request cannot be served; the connection ends.
    Refused { error: ErrorReport },
    /// The answer to [`Request::Jobs`], newest job first.
    Jobs { jobs: Vec<JobReport> },
    /// The agent lives, though nothing happened since its last line.
    Alive,
}

/// One line of a journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// 0, 1, 2 ... without gaps.
    pub number: u64,
    /// Unix time of the host, milliseconds.
    pub at_millis: i64,
    pub event: Event,
}

/// What a host is asked to do. The settings file stands at the same path on every host; secrets never travel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Path of the settings file on the agent's host.
    pub config: PathBuf,
    pub segments: Vec<SegmentTarget>,
    pub work: Work,
}

/// A primary (or the coordinator, content -1) and where it lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentTarget {
    pub content: ContentId,
    pub port: u16,
    pub data_dir: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Everything that must hold before a push starts; changes nothing but a probe object.
    Check,
    /// Backup of every segment. `ids[i]` is the backup id of `segments[i]`, `bases[i]` the backup that its own is a delta of.
    Push { ids: Vec<BackupId>, bases: Vec<Option<BackupName>>, permanent: bool },
    /// Close the current WAL file of every segment so that it is archived.
    SwitchWal,
    /// Stop exclusive backups that a failed push left behind (Greenplum 6).
    LeaveBackupMode,
    /// Restore `sources[i]` into `segments[i].data_dir`. `only`: databases and tables to restore, all if there are none.
    /// `tablespaces[i]`: new directories by oid or old directory; none where the list is empty.
    Unpack {
        sources: Vec<BackupName>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        only: Vec<Selector>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tablespaces: Vec<BTreeMap<String, String>>,
    },
    /// Read everything that the backups `sources[i]` of `segments[i]` consist of, and say what is wrong with it.
    Verify { sources: Vec<Vec<VerifySource>> },
    /// Compare the lengths of append-optimized files with the catalogs of the running servers, or with `backups[i]` of
    /// `segments[i]`.
    CheckAoLength { backups: Option<Vec<BackupName>> },
    /// Write the recovery settings of every segment, and pg_hba.conf where its text is given.
    Prepare { recovery: RecoverySettings, pg_hba: Option<String> },
    /// `actions[i]` is done to the server of `segments[i]`.
    Server { actions: Vec<ServerAction> },
}

/// A segment's backup that is verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifySource {
    pub backup: BackupName,
    /// Up to where its log is needed; absent: up to where the backup ends.
    pub until: Option<LogEnd>,
}

/// A position of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEnd {
    pub timeline: TimelineId,
    pub lsn: Lsn,
}

/// How the restored servers recover.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoverySettings {
    /// Restore point at which recovery ends.
    pub target_name: String,
    /// `promote`, `pause` or `shutdown`; left out where the server is older than 9.5.
    pub target_action: Option<String>,
    /// Servers from PostgreSQL 12 on: recovery.signal and an include line; before: recovery.conf.
    pub signal_file: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The job runs; `pid` is its process.
    Started {
        pid: u32,
    },
    /// What a segment is doing now, in words for a person: "starting the backup", "copying", "waiting for ...".
    Phase {
        content: ContentId,
        text: String,
    },
    /// Bytes of the data directory read (push) or written (unpack) so far, and to be done in all.
    Progress {
        content: ContentId,
        done_bytes: u64,
        total_bytes: u64,
    },
    /// Odd, but the result is right.
    Warning {
        content: Option<ContentId>,
        text: String,
    },
    SegmentDone {
        content: ContentId,
        result: SegmentResult,
    },
    SegmentFailed {
        content: ContentId,
        error: ErrorReport,
    },
    /// Last event of the job. `peak_memory_bytes`: the largest resident set of its process.
    Finished {
        outcome: Outcome,
        peak_memory_bytes: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every segment is done.
    Done,
    /// At least one segment failed; the others were stopped.
    Failed { error: ErrorReport },
    /// Stopped by the coordinator, a signal or the end of the lease; `why` says which.
    Cancelled { why: String },
    /// The job's process died: what it had not finished may be started again, under another job id.
    Died { error: ErrorReport },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentResult {
    Checked {
        server_version: u32,
        segment_size_bytes: u64,
        free_bytes: u64,
    },
    Pushed(PushedSegment),
    /// `lsn`: end of the closed WAL file.
    Switched {
        timeline: TimelineId,
        lsn: Lsn,
    },
    LeftBackupMode,
    Unpacked {
        files: u64,
        bytes: u64,
        kept_files: u64,
    },
    Prepared,
    Server(ServerResult),
    Verified(VerifiedSegment),
    /// `problems`: one text for each file that is too short.
    AoLengths {
        files: u64,
        problems: Vec<String>,
    },
}

/// What was read of a segment's backups, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiedSegment {
    /// In the order of the sources.
    pub sources: Vec<VerifiedSource>,
    pub findings: Vec<SegmentFinding>,
    /// Findings beyond those listed.
    pub more_findings: u64,
    /// Of the log; absent where no control file could be read.
    pub wal_segment_bytes: Option<u64>,
}

/// A verified backup with everything it depends on: its chain, shared files, log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiedSource {
    pub backup: BackupName,
    pub objects: u64,
    /// As stored.
    pub bytes: u64,
    /// Every backup of the chain has a manifest, so that no difference can have been missed.
    pub has_manifests: bool,
}

/// Something that is wrong with an object of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentFinding {
    /// Key in the segment's part of the storage.
    pub object: String,
    pub problem: String,
    /// Backups of the segment that cannot be restored because of it, those that were not asked for included.
    pub backups: Vec<BackupName>,
}

/// A finished segment backup: what the cluster sentinel needs to know of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PushedSegment {
    pub backup_id: BackupId,
    pub backup_name: BackupName,
    pub timeline: TimelineId,
    pub start_lsn: Lsn,
    pub finish_lsn: Lsn,
    pub segment_size_bytes: u64,
    pub system_identifier: Option<SystemIdentifier>,
    pub uncompressed_bytes: i64,
    pub compressed_bytes: i64,
    pub data_catalog_bytes: i64,
    pub files: u64,
    /// The backup that it is a delta of; nothing for a full one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta_from: Option<BackupName>,
}

/// What became of a job, as its files tell it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobReport {
    pub job: JobId,
    /// Name of its [`Work`] in messages: `push`, `switch_wal`.
    pub work: String,
    pub state: JobState,
    /// Unix time of the host, milliseconds, of the first event; 0 before it.
    pub started_millis: i64,
    /// Of the last event.
    pub last_millis: i64,
    /// By content id.
    pub segments: Vec<SegmentReport>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    Running,
    Ended(Outcome),
    /// Its process ended without a last event.
    Died {
        last_printed: Option<String>,
    },
}

/// How far a job is with one segment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SegmentReport {
    pub content: ContentId,
    /// What it does, or did last; empty before the first phase.
    pub phase: String,
    pub done_bytes: u64,
    pub total_bytes: u64,
    pub is_done: bool,
    pub error: Option<String>,
}

/// An error as it crosses the wire: what was done, to what, why it failed; `remedy` is what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReport {
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl JobSpec {
    /// What is left of this job after its process died, for a new one. Backups get other ids: a backup that the dead process
    /// had finished and could not report must not be taken for the new one.
    pub fn of_unfinished(&self, is_unfinished: impl Fn(ContentId) -> bool) -> Self {
        let left: Vec<bool> = self.segments.iter().map(|segment| is_unfinished(segment.content)).collect();
        let work = match &self.work {
            Work::Push { ids, bases, permanent } => {
                let again = |id: BackupId| BackupId::new(format!("{}-again", id.as_str()));
                let ids = those(ids, &left).into_iter().map(again).collect();
                Work::Push { ids, bases: those(bases, &left), permanent: *permanent }
            }
            Work::Unpack { sources, only, tablespaces } => Work::Unpack {
                sources: those(sources, &left),
                only: only.clone(),
                tablespaces: those(tablespaces, &left),
            },
            Work::Verify { sources } => Work::Verify { sources: those(sources, &left) },
            Work::CheckAoLength { backups } => {
                Work::CheckAoLength { backups: backups.as_ref().map(|backups| those(backups, &left)) }
            }
            Work::Server { actions } => Work::Server { actions: those(actions, &left) },
            Work::Check | Work::SwitchWal | Work::LeaveBackupMode | Work::Prepare { .. } => self.work.clone(),
        };
        Self { config: self.config.clone(), segments: those(&self.segments, &left), work }
    }
}

fn those<T: Clone>(all: &[T], wanted: &[bool]) -> Vec<T> {
    all.iter().zip(wanted).filter(|(_, wanted)| **wanted).map(|(one, _)| one.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_segments_keep_what_is_theirs() {
        let target = |content| SegmentTarget { content: ContentId(content), port: 6000, data_dir: "/d".into() };
        let segments = vec![target(0), target(1), target(2)];
        let ids = ["a", "b", "c"].map(BackupId::new).to_vec();
        let base = |name: &str| Some(name.parse().unwrap());
        let bases = vec![base("base_1"), base("base_2"), None];
        let spec = JobSpec { config: "/c".into(), segments, work: Work::Push { ids, bases, permanent: true } };
        let left = spec.of_unfinished(|content| content.0 != 1);
        assert_eq!(left.segments, [target(0), target(2)]);
        let ids = ["a-again", "c-again"].map(BackupId::new).to_vec();
        assert_eq!(left.work, Work::Push { ids, bases: vec![base("base_1"), None], permanent: true });
        let sources = ["base_1", "base_2", "base_3"].map(|name| name.parse::<BackupName>().unwrap());
        let unpack = |sources: &[BackupName]| {
            let tablespaces = sources.iter().map(|name| BTreeMap::from([("1".to_owned(), name.to_string())])).collect();
            Work::Unpack { sources: sources.to_vec(), only: Vec::new(), tablespaces }
        };
        let spec = JobSpec { work: unpack(&sources), ..spec };
        assert_eq!(spec.of_unfinished(|content| content.0 == 2).work, unpack(&sources[2..]));
    }

    fn comes_back<T: Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(message: T) -> String {
        let line = serde_json::to_string(&message).unwrap();
        assert!(!line.contains('\n'), "{line}");
        assert_eq!(serde_json::from_str::<T>(&line).unwrap(), message);
        line
    }

    #[test]
    fn messages_are_lines_and_come_back() {
        let target = SegmentTarget { content: ContentId(-1), port: 5432, data_dir: "/data/a\nb".into() };
        let work = Work::Push { ids: vec![BackupId::new("4d8b")], bases: vec![None], permanent: false };
        let spec = JobSpec { config: "/etc/damson.yaml".into(), segments: vec![target], work };
        let start = comes_back(Request::Start { job: JobId("j1".to_owned()), lease_seconds: 60, spec });
        assert!(start.starts_with(r#"{"start":{"job":"j1","lease_seconds":60,"spec":{"config":"#), "{start}");
        assert_eq!(comes_back(Request::Heartbeat), r#""heartbeat""#);

        let pushed = PushedSegment {
            backup_id: BackupId::new("4d8b"),
            backup_name: "base_000000010000000000000003".parse().unwrap(),
            timeline: TimelineId(1),
            start_lsn: Lsn(u64::MAX),
            finish_lsn: Lsn(1),
            segment_size_bytes: 64 << 20,
            system_identifier: Some(SystemIdentifier(7_710_534_079_969_413_511)),
            uncompressed_bytes: 1,
            compressed_bytes: 1,
            data_catalog_bytes: 1,
            files: 1,
            delta_from: None,
        };
        let event = Event::SegmentDone { content: ContentId(0), result: SegmentResult::Pushed(pushed) };
        comes_back(Reply::Event(JournalEntry { number: 0, at_millis: 1, event }));
    }

    #[test]
    fn a_dangerous_backup_name_is_no_message() {
        let unpack = r#"{"unpack":{"sources":["base_1"]}}"#;
        assert!(serde_json::from_str::<Work>(unpack).is_ok());
        assert!(serde_json::from_str::<Work>(&unpack.replace("base_1", "../base_1")).is_err());
    }
}
