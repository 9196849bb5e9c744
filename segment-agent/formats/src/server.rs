//! The part of the protocol about running servers: what an agent does to the server of a restored segment, and what it finds.

use std::path::PathBuf;

use pgdata::{Lsn, TimelineId};
use serde::{Deserialize, Serialize};

use crate::rows::TableRows;
use crate::{ContentId, DbId};

/// What is done to one server. Every action may be done again: what is done already is found and kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerAction {
    /// Finds out how the server stands; changes nothing.
    Look,
    /// Starts it for [`Purpose`].
    Start {
        purpose: Purpose,
        archiving: Archiving,
    },
    /// Waits until its recovery has ended. `target`: position of the restore point, to show how far behind it is.
    AwaitRecovery {
        target: Option<Lsn>,
    },
    /// Waits until it has shut itself down at its restore point.
    AwaitShutdown {
        target: Option<Lsn>,
        timeout_seconds: u64,
    },
    Stop,
    /// Like [`ServerAction::Stop`], where there may be no data directory.
    StopIfThere,
    /// The data directory must not exist or be empty.
    MustBeEmpty,
    /// Compares gp_segment_configuration with `rows` and, if `rewrite`, makes it so in one transaction. Rows of `replicas` may
    /// be there besides; those of other mirrors and standbys go.
    Catalog {
        rows: Vec<CatalogRow>,
        replicas: Vec<Replica>,
        rewrite: bool,
    },
    /// Adds what is missing of `replicas` to gp_segment_configuration, mirrors as down.
    Enlist {
        replicas: Vec<Replica>,
    },
    /// Copies the server at `source` into the data directory, starts the copy as its replica and waits until it streams.
    Seed {
        source: Source,
        db_id: DbId,
    },
    /// Lets the coordinator look at its mirrors now, and tells which `replicas` it takes for up.
    Probe {
        replicas: Vec<Replica>,
    },
    /// The server must answer and not be in recovery. The coordinator must besides reach this many primaries.
    Answer {
        primaries: Option<u32>,
    },
    /// Sets what is done at the restore point: `promote`, `pause` or `shutdown`.
    SetRecoveryAction {
        action: String,
    },
    /// Counts and sums the rows of every table.
    CountRows,
    /// Removes the data directory of a stopped server that was restored for a drill.
    Remove,
}

/// What a server is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To recover, the coordinator in utility mode, so that nothing reaches for the hosts that its catalog names.
    Recovery,
    /// To follow the source of its log to a restore point and shut down there.
    Follow,
    /// To serve: the recovery settings are removed, a server that still runs for another purpose is started anew.
    Service,
}

/// Whether a started server archives its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Archiving {
    /// As its settings say.
    Kept,
    /// `archive_mode = off` is added to its settings.
    Off,
}

/// How a server stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerState {
    pub phase: ServerPhase,
    /// Its data directory says that it is to recover to a restore point.
    pub recovery_pending: bool,
    /// A backup was unpacked, but the recovery settings are not there: started like this, it would not stop at a restore point.
    pub unprepared: bool,
    /// It was started, or was about to be, to recover and not to serve.
    pub being_started: bool,
    /// Restore point and action of the recovery settings, while these are there.
    pub target_name: Option<String>,
    pub target_action: Option<String>,
    pub timeline: TimelineId,
    /// From where it recovers.
    pub redo_lsn: Lsn,
    pub segment_size_bytes: u64,
    /// As internal.auto.conf says.
    pub db_id: Option<DbId>,
    /// `archive_command` or `archive_library`, where archiving is on and the server could be asked.
    pub archives_with: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerPhase {
    Stopped,
    /// Stopped at its restore point, as its recovery settings say.
    ShutDownInRecovery,
    /// It runs and recovers, or does not answer yet.
    Recovering,
    /// Paused at its restore point.
    Paused,
    /// It answers and is not in recovery.
    Serving,
}

/// A primary or the coordinator in gp_segment_configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogRow {
    pub content: ContentId,
    /// As the restored data directory says; `None` keeps that of the catalog's primary.
    pub db_id: Option<DbId>,
    pub hostname: String,
    pub port: u16,
    pub data_dir: PathBuf,
}

/// A server that a replica is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub hostname: String,
    pub port: u16,
}

/// A mirror, or the standby, whose content is that of the coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    pub content: ContentId,
    pub hostname: String,
    pub port: u16,
    pub data_dir: PathBuf,
}

/// What became of an action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerResult {
    State(ServerState),
    Catalog {
        /// The catalog names the places of the restored servers.
        right: bool,
        /// Mirrors and standby that the catalog named, and that are not to stay.
        replicas: Vec<Replica>,
    },
    /// Numbers in the catalog of replicas.
    Enlisted(Vec<(ContentId, DbId)>),
    /// Content ids of the replicas that the catalog says are up.
    Up(Vec<ContentId>),
    Rows(Vec<TableRows>),
    Done,
}
