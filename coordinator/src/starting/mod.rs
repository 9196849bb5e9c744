//! From restored data directories to a running cluster: which step is next. Pure: what is known goes in, a step comes out.
//!
//! Nothing is remembered between runs. What the servers and their directories say decides, so a run that died is gone on with
//! from wherever it stopped:
//!
//! 1. Servers with a recovery before them are started, the coordinator in utility mode, and waited for.
//! 2. The coordinator's gp_segment_configuration is made to name the new places, while it is alone and reaches for nobody.
//! 3. Primaries are started to serve, then the coordinator.
//! 4. Every server must answer, and the coordinator reach its primaries.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use formats::ContentId;
use formats::server::{ServerPhase, ServerState};

/// What is known of a cluster that is being started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The servers that are worked on; the coordinator need not be among them.
    pub servers: BTreeMap<ContentId, ServerState>,
    pub catalog: Catalog,
    /// The health gate was passed.
    pub checked: bool,
}

/// What the coordinator's gp_segment_configuration says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Catalog {
    Unknown,
    /// It names other places than the restore config.
    Differs,
    Right,
}

/// Something to do to servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Start them to recover; a coordinator without a recovery before it, in utility mode.
    Recover(Vec<ContentId>),
    /// Wait for the end of their recovery.
    Await(Vec<ContentId>),
    /// Stop them, so that they take up settings that were changed.
    Stop(Vec<ContentId>),
    /// Compare the catalog of the coordinator, and write it if `rewrite`.
    Catalog { rewrite: bool },
    /// Start them to serve.
    Serve(Vec<ContentId>),
    /// Ask every server, and through the coordinator all primaries at once.
    Check,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    Do(Step),
    /// The cluster serves.
    Ready,
    /// The servers are paused at their restore point, as their recovery settings say.
    Paused,
}

/// Why a cluster cannot be started as it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error(
        "content {0} holds an unpacked backup without recovery settings: its server would not stop at a restore point"
    )]
    Unprepared(ContentId),
    #[error("the servers do not recover to one restore point: content {0} to {1}, content {2} to {3}")]
    DifferentPoints(ContentId, String, ContentId, String),
    #[error(
        "the servers shut down at their restore point instead of leaving recovery: recovery_target_action of content {0} is shutdown"
    )]
    ShutsDown(ContentId),
    #[error(
        "the coordinator serves, and its gp_segment_configuration names other places than the restore config: it is not the \
         coordinator that is to be started, or it was started by other means"
    )]
    OtherCluster,
}

impl Problem {
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unprepared(_) => "prepare the recovery first: damson backup-fetch --mode prepare",
            Self::DifferentPoints(..) => "write the recovery settings anew for all: damson backup-fetch --mode prepare",
            Self::ShutsDown(_) => "set another action: damson recovery-action promote --restore-config FILE",
            Self::OtherCluster => {
                "if it is the restored one, stop it and run the command again; else correct the restore config"
            }
        }
    }
}

/// The next step.
pub fn next(facts: &Facts) -> Result<Next, Problem> {
    if let Some(content) = facts.any(|server| server.unprepared) {
        return Err(Problem::Unprepared(content));
    }
    one_point(facts)?;
    if let Some(content) = facts.any(|server| server.recovery_pending && action(server) == Some("shutdown")) {
        return Err(Problem::ShutsDown(content));
    }
    let outdated = facts.all(|server| server.phase == ServerPhase::Paused && action(server) != Some("pause"));
    if !outdated.is_empty() {
        return Ok(Next::Do(Step::Stop(outdated)));
    }
    let waiting = facts.all(|server| server.recovery_pending && is_down(server));
    if !waiting.is_empty() {
        return Ok(Next::Do(Step::Recover(waiting)));
    }
    let recovering = facts.all(|server| server.phase == ServerPhase::Recovering);
    if !recovering.is_empty() {
        return Ok(Next::Do(Step::Await(recovering)));
    }
    if facts.any(|server| server.phase == ServerPhase::Paused).is_some() {
        return Ok(Next::Paused);
    }
    if let Some(step) = catalog_step(facts)? {
        return Ok(Next::Do(step));
    }
    let (coordinator, primaries): (Vec<_>, Vec<_>) =
        facts.all(|server| !serves(server)).into_iter().partition(|content| *content == ContentId::COORDINATOR);
    Ok(match (primaries.is_empty(), coordinator.is_empty(), facts.checked) {
        (false, ..) => Next::Do(Step::Serve(primaries)),
        (true, false, _) => Next::Do(Step::Serve(coordinator)),
        (true, true, false) => Next::Do(Step::Check),
        (true, true, true) => Next::Ready,
    })
}

/// All servers have recovered.
fn catalog_step(facts: &Facts) -> Result<Option<Step>, Problem> {
    let Some(coordinator) = facts.servers.get(&ContentId::COORDINATOR) else { return Ok(None) };
    if facts.catalog == Catalog::Right {
        return Ok(None);
    }
    if is_down(coordinator) {
        return Ok(Some(Step::Recover(vec![ContentId::COORDINATOR])));
    }
    match facts.catalog {
        Catalog::Differs if !coordinator.being_started => Err(Problem::OtherCluster),
        _ => Ok(Some(Step::Catalog { rewrite: coordinator.being_started })),
    }
}

fn one_point(facts: &Facts) -> Result<(), Problem> {
    let pending = facts.servers.iter().filter(|(_, server)| server.recovery_pending);
    let mut points = pending.map(|(content, server)| (*content, server.target_name.clone().unwrap_or_default()));
    let Some((first, point)) = points.next() else { return Ok(()) };
    match points.find(|(_, other)| *other != point) {
        Some((content, other)) => Err(Problem::DifferentPoints(first, point, content, other)),
        None => Ok(()),
    }
}

fn action(server: &ServerState) -> Option<&str> {
    server.target_action.as_deref()
}

fn is_down(server: &ServerState) -> bool {
    matches!(server.phase, ServerPhase::Stopped | ServerPhase::ShutDownInRecovery)
}

fn serves(server: &ServerState) -> bool {
    server.phase == ServerPhase::Serving && !server.being_started
}

impl Facts {
    pub fn new(servers: BTreeMap<ContentId, ServerState>) -> Self {
        Self { servers, catalog: Catalog::Unknown, checked: false }
    }

    /// The restore point that is before the servers, if one is.
    pub fn point(&self) -> Option<String> {
        let points: BTreeSet<_> = self.servers.values().filter_map(|server| server.target_name.clone()).collect();
        points.into_iter().next()
    }

    fn any(&self, holds: impl Fn(&ServerState) -> bool) -> Option<ContentId> {
        self.servers.iter().find(|(_, server)| holds(server)).map(|(content, _)| *content)
    }

    fn all(&self, holds: impl Fn(&ServerState) -> bool) -> Vec<ContentId> {
        self.servers.iter().filter(|(_, server)| holds(server)).map(|(content, _)| *content).collect()
    }
}
