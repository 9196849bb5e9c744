//! What every command over the hosts shares: settings, the wish to stop, how hosts are reached.

use std::path::{Path, PathBuf};
use std::time::Duration;

use coordinator::fanout::{self, HostJob, Verdict};
use coordinator::host::{Host, HostKeyPolicy, HostName, SshOptions};
use formats::lease::LeaseKind;
use formats::wire::{JobId, JobSpec, JournalEntry, SegmentTarget, Work};
use segment_agent::lease::{self, Lease, LeaseRequest};
use segment_agent::repository::Repository;
use settings::Settings;
use tokio_util::sync::CancellationToken;

use crate::cluster::Node;
use crate::error::{Error, Result};

/// How long agents work on without a sign of life, unless DAMSON_LEASE says otherwise.
const DEFAULT_LEASE: Duration = Duration::from_secs(60);

pub struct Session {
    pub settings: Settings,
    pub cancel: CancellationToken,
    pub lease: Duration,
    /// As the agents are told: the same path on every host.
    pub config: PathBuf,
    ssh: SshOptions,
}

impl Session {
    pub fn new(settings: Settings) -> Result<Self> {
        let config = settings.config_path().map(absolute).transpose()?.unwrap_or_default();
        let lease = settings.duration("DAMSON_LEASE")?.unwrap_or(DEFAULT_LEASE);
        let ssh = ssh_options(&settings)?;
        Ok(Self { settings, cancel: CancellationToken::new(), lease, config, ssh })
    }

    /// The repository of the whole cluster.
    pub fn repository(&self) -> Result<Repository> {
        Ok(Repository::open(&self.settings)?)
    }

    /// Runs `work` under a lease on the storage. A lease that is lost stops it, as an interruption would; `work` confirms
    /// the lease before it stores what others go by.
    pub async fn under_lease<T>(
        &self,
        repository: &Repository,
        kind: LeaseKind,
        what: &str,
        work: impl AsyncFnOnce(&Lease) -> Result<T>,
    ) -> Result<T> {
        let term = lease::term(&self.settings)?.max(self.lease);
        let linger = if kind == LeaseKind::Push { self.lease } else { Duration::ZERO };
        let request = LeaseRequest { kind, what: what.to_owned(), term, linger };
        let lease = Lease::acquire(repository.store(), request).await?;
        let done = {
            let mut work = std::pin::pin!(work(&lease));
            tokio::select! {
                done = &mut work => done,
                lost = lease.lost() => {
                    self.cancel.cancel();
                    work.await.and(Err(lost.into()))
                }
            }
        };
        lease.release().await;
        done
    }

    /// How `name` is reached: the coordinator's own host without SSH.
    pub fn host(&self, name: &str, coordinator: &str) -> Result<Host> {
        let host = HostName(name.to_owned());
        if name == coordinator {
            return Ok(Host::local(host, self.local_agent()?));
        }
        Ok(Host::ssh(host, self.ssh.clone()))
    }

    /// The agent of this installation: it stands beside this program.
    pub fn local_agent(&self) -> Result<PathBuf> {
        let program = std::env::current_exe().and_then(std::fs::canonicalize);
        let program = program.map_err(|source| Error::Local { doing: "finding this program", source })?;
        Ok(program.with_file_name("damson-agent"))
    }

    /// One job per host of `nodes`. `work` makes a host's part from its nodes.
    pub fn jobs(&self, nodes: &[Node], work: impl Fn(&[&Node]) -> Work) -> Result<Vec<HostJob>> {
        let coordinator = nodes.iter().find(|node| node.is_coordinator()).map_or("", |node| node.hostname.as_str());
        self.jobs_beside(nodes, coordinator, work)
    }

    /// Like [`jobs`](Self::jobs), where the coordinator's host is known but it may not be among the nodes.
    pub fn jobs_beside(
        &self,
        nodes: &[Node],
        coordinator: &str,
        work: impl Fn(&[&Node]) -> Work,
    ) -> Result<Vec<HostJob>> {
        segment_agent::segment_logs::copy_cluster_log(&self.settings);
        let mut jobs = Vec::new();
        for (hostname, nodes) in crate::cluster::by_host(nodes) {
            let segments = nodes.iter().map(|node| target(node)).collect();
            let spec = JobSpec { config: self.config.clone(), segments, work: work(&nodes) };
            let job = JobId(uuid::Uuid::new_v4().simple().to_string());
            jobs.push(HostJob { host: self.host(hostname, coordinator)?, job, spec });
        }
        Ok(jobs)
    }

    /// Runs `jobs` to their end; an error names the host and the segment that failed first.
    pub async fn run(&self, jobs: Vec<HostJob>, observer: impl FnMut(&HostName, &JournalEntry)) -> Result<Verdict> {
        let verdict = fanout::run(jobs, self.lease, observer, self.cancel.clone()).await;
        match verdict.report() {
            None => Ok(verdict),
            Some(report) => Err(Error::Remote(report)),
        }
    }
}

fn target(node: &Node) -> SegmentTarget {
    SegmentTarget { content: node.content, port: node.port, data_dir: node.data_dir.clone() }
}

fn ssh_options(settings: &Settings) -> Result<SshOptions> {
    let mut options = SshOptions { config_file: settings.path("DAMSON_SSH_CONFIG"), ..SshOptions::default() };
    options.agent_path = settings.get("DAMSON_AGENT_PATH").map(str::to_owned);
    if settings.explicit("DAMSON_SSH_HOST_KEYS") {
        let text = settings.get("DAMSON_SSH_HOST_KEYS").unwrap_or_default();
        let policy: HostKeyPolicy =
            text.parse().map_err(|why: String| Error::refused(why, "correct DAMSON_SSH_HOST_KEYS"))?;
        options.host_keys = Some(policy);
    }
    if let Some(timeout) = settings.duration("DAMSON_CONNECT_TIMEOUT")? {
        options.connect_timeout = timeout;
    }
    Ok(options)
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|source| Error::Local { doing: "resolving the settings file", source })
}
