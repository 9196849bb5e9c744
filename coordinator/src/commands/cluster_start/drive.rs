//! Carries out the steps of [`coordinator::starting`] on the hosts.

use std::collections::BTreeMap;

use coordinator::catalog::RestorePoints;
use coordinator::starting::{Catalog, Facts, Next, Step, next};
use formats::ContentId;
use formats::server::{Archiving, CatalogRow, Purpose, Replica, ServerAction, ServerResult};
use pgdata::Lsn;

use super::super::servers::Servers;
use crate::cluster::Node;
use crate::error::{Error, Result};
use crate::session::Session;

/// More steps than any start has: a machine that goes round is stopped.
const STEPS: usize = 30;

/// How a start ended.
pub struct Started {
    pub facts: Facts,
    /// The servers are paused at their restore point; nothing serves yet.
    pub paused: bool,
    /// Mirrors and standby that the restored catalog named, and that are not where replicas are to be.
    pub lost: Vec<Replica>,
}

/// Starts the servers `chosen` of the cluster at `places`. `replicas`: of these servers, where the catalog may name them already.
pub async fn start(
    session: &Session,
    places: &[Node],
    chosen: &[Node],
    replicas: &[Replica],
    archiving: Archiving,
) -> Result<Started> {
    let servers = Servers::new(session, places);
    tracing::info!("step: looking at {} servers", chosen.len());
    let mut facts = Facts::new(servers.states("looking", chosen, |_| ServerAction::Look).await?);
    let targets = match facts.point() {
        Some(point) => targets(session, &point).await?,
        None => BTreeMap::new(),
    };
    let mut driver = Driver { servers, places, chosen, replicas, archiving, targets, lost: Vec::new() };
    for _ in 0..STEPS {
        let step = match next(&facts).map_err(|problem| Error::refused(problem.to_string(), problem.remedy()))? {
            Next::Do(step) => step,
            end => return Ok(Started { facts, paused: end == Next::Paused, lost: driver.lost }),
        };
        driver.carry_out(&step, &mut facts).await?;
    }
    Err(Error::refused("the servers do not do what they are asked to", "see their logs; please report this"))
}

/// Position of the restore point on every segment, to show how far behind they are. Without its document nothing is known.
async fn targets(session: &Session, point: &str) -> Result<BTreeMap<ContentId, Lsn>> {
    let points = RestorePoints::load(session.repository()?.store()).await?;
    match points.document(point).await {
        Ok(document) => Ok(document.lsn_by_segment),
        Err(error) => {
            tracing::info!("how far recovery is from {point} cannot be told: {error}");
            Ok(BTreeMap::new())
        }
    }
}

struct Driver<'a> {
    servers: Servers<'a>,
    places: &'a [Node],
    chosen: &'a [Node],
    replicas: &'a [Replica],
    archiving: Archiving,
    targets: BTreeMap<ContentId, Lsn>,
    lost: Vec<Replica>,
}

impl Driver<'_> {
    async fn carry_out(&mut self, step: &Step, facts: &mut Facts) -> Result<()> {
        let archiving = self.archiving;
        let start = |purpose| move |_: &Node| ServerAction::Start { purpose, archiving };
        let states = match step {
            Step::Recover(contents) => {
                tracing::info!("step: starting {} servers to recover", contents.len());
                self.servers.states("starting", &self.nodes(contents), start(Purpose::Recovery)).await?
            }
            Step::Await(contents) => {
                tracing::info!("step: waiting for {} servers to recover", contents.len());
                let target = |node: &Node| self.targets.get(&node.content).copied();
                let action = |node: &Node| ServerAction::AwaitRecovery { target: target(node) };
                self.servers.states("recovering", &self.nodes(contents), action).await?
            }
            Step::Stop(contents) => {
                tracing::info!("step: stopping {} servers", contents.len());
                self.servers.states("stopping", &self.nodes(contents), |_| ServerAction::Stop).await?
            }
            Step::Catalog { rewrite } => return self.compare_catalog(*rewrite, facts).await,
            Step::Serve(contents) => {
                tracing::info!("step: starting {} servers to serve", contents.len());
                self.servers.states("starting", &self.nodes(contents), start(Purpose::Service)).await?
            }
            Step::Check => {
                tracing::info!("step: checking {} servers", self.chosen.len());
                facts.checked = true;
                self.check().await?
            }
        };
        facts.servers.extend(states);
        Ok(())
    }

    fn nodes(&self, contents: &[ContentId]) -> Vec<Node> {
        self.chosen.iter().filter(|node| contents.contains(&node.content)).cloned().collect()
    }

    async fn compare_catalog(&mut self, rewrite: bool, facts: &mut Facts) -> Result<()> {
        tracing::info!("step: gp_segment_configuration");
        let row = |node: &Node| CatalogRow {
            content: node.content,
            db_id: facts.servers.get(&node.content).and_then(|server| server.db_id),
            hostname: node.hostname.clone(),
            port: node.port,
            data_dir: node.data_dir.clone(),
        };
        let rows: Vec<CatalogRow> = self.places.iter().map(row).collect();
        let coordinator = self.nodes(&[ContentId::COORDINATOR]);
        let action = |_: &Node| {
            let replicas = self.replicas.to_vec();
            ServerAction::Catalog { rows: rows.clone(), replicas, rewrite }
        };
        let results = self.servers.act("rewriting the catalog", &coordinator, action).await?;
        let Some(ServerResult::Catalog { right, replicas }) = results.into_values().next() else {
            return Err(Error::refused("the agent did not tell what the catalog says", "run the command again"));
        };
        facts.catalog = if right { Catalog::Right } else { Catalog::Differs };
        self.lost = replicas;
        Ok(())
    }

    async fn check(&self) -> Result<BTreeMap<ContentId, formats::server::ServerState>> {
        let primaries = self.places.iter().filter(|node| !node.is_coordinator()).count();
        let whole = self.chosen.len() == self.places.len();
        let expected = |node: &Node| (whole && node.is_coordinator()).then_some(primaries as u32);
        let action = |node: &Node| ServerAction::Answer { primaries: expected(node) };
        self.servers.states("checking", self.chosen, action).await
    }
}
