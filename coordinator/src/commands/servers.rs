//! Jobs on the servers of restored segments, and what came of them.

use std::collections::BTreeMap;

use coordinator::fanout::{self, Verdict};
use coordinator::progress::Progress;
use formats::ContentId;
use formats::server::{ServerAction, ServerResult, ServerState};
use formats::wire::{SegmentResult, Work};
use tokio_util::sync::CancellationToken;

use crate::cluster::Node;
use crate::error::{Error, Result};
use crate::session::Session;

/// The servers of one cluster that are worked on.
pub struct Servers<'a> {
    session: &'a Session,
    /// Host of the coordinator, which is this one.
    coordinator: String,
}

impl<'a> Servers<'a> {
    /// `places`: of the whole cluster.
    pub fn new(session: &'a Session, places: &[Node]) -> Self {
        let coordinator = places.iter().find(|node| node.is_coordinator());
        Self { session, coordinator: coordinator.map(|node| node.hostname.clone()).unwrap_or_default() }
    }

    /// Does `action` to all of `nodes`; what is said meanwhile goes under `title`.
    pub async fn act(
        &self,
        title: &str,
        nodes: &[Node],
        action: impl Fn(&Node) -> ServerAction,
    ) -> Result<BTreeMap<ContentId, ServerResult>> {
        let work = |nodes: &[&Node]| Work::Server { actions: nodes.iter().map(|node| action(node)).collect() };
        let jobs = self.session.jobs_beside(nodes, &self.coordinator, work)?;
        let mut progress = Progress::new(title);
        let outcome = self.session.run(jobs, |host, entry| progress.observe(host, entry)).await;
        progress.finish();
        Ok(results(&outcome?))
    }

    /// Like [`act`](Self::act), but carried out also after the user has interrupted the command: for cleaning up.
    pub async fn act_at_the_end(&self, nodes: &[Node], action: impl Fn(&Node) -> ServerAction) -> Result<()> {
        let work = |nodes: &[&Node]| Work::Server { actions: nodes.iter().map(|node| action(node)).collect() };
        let jobs = self.session.jobs_beside(nodes, &self.coordinator, work)?;
        let verdict = fanout::run(jobs, self.session.lease, |_, _| {}, CancellationToken::new()).await;
        verdict.report().map_or(Ok(()), |report| Err(Error::Remote(report)))
    }

    /// [`act`](Self::act) where every action ends with the state of its server.
    pub async fn states(
        &self,
        title: &str,
        nodes: &[Node],
        action: impl Fn(&Node) -> ServerAction,
    ) -> Result<BTreeMap<ContentId, ServerState>> {
        let results = self.act(title, nodes, action).await?;
        let states: BTreeMap<_, _> = results
            .into_iter()
            .filter_map(|(content, result)| match result {
                ServerResult::State(state) => Some((content, state)),
                _ => None,
            })
            .collect();
        match nodes.iter().find(|node| !states.contains_key(&node.content)) {
            None => Ok(states),
            Some(node) => {
                let what =
                    format!("host {}: the agent did not tell the state of content {}", node.hostname, node.content);
                Err(Error::refused(what, "look into the agent's log on that host, then run the command again"))
            }
        }
    }
}

fn results(verdict: &Verdict) -> BTreeMap<ContentId, ServerResult> {
    let results = verdict.results().into_iter().filter_map(|(content, result)| match result {
        SegmentResult::Server(result) => Some((content, result.clone())),
        _ => None,
    });
    results.collect()
}
