//! A fan-out over real connections: a cut connection, an interrupt, a failure.

use std::fs;
use std::time::Duration;

use coordinator::fanout::{Cause, End, HostJob, Verdict, run};
use coordinator::host::{Host, HostName, VERSION};
use formats::ContentId;
use formats::wire::{JobId, JobSpec, SegmentTarget, Work};
use tokio_util::sync::CancellationToken;

use crate::rig::cuttable::Relay;
use crate::rig::sshd::Sshd;
use crate::rig::{agent_script, failing_agent_script, write_script};

const LEASE: Duration = Duration::from_secs(30);

fn job(host: Host, content: i32) -> HostJob {
    let segment = SegmentTarget { content: ContentId(content), port: 6000, data_dir: "/data".into() };
    let spec = JobSpec { config: "/etc/damson.yaml".into(), segments: vec![segment], work: Work::SwitchWal };
    HostJob { host, job: JobId("job".into()), spec }
}

fn local(folder: &tempfile::TempDir, name: &str, script: &str) -> Host {
    Host::local(HostName(name.into()), write_script(&folder.path().join(name).join("agent"), script))
}

#[tokio::test]
async fn a_cut_connection_is_attached_again() {
    let sshd = Sshd::start();
    let agent = sshd.in_home(&format!(".local/lib/damson/damson-agent-{VERSION}"));
    write_script(&agent, &agent_script(VERSION));
    sshd.give_home();
    let relay = Relay::to(sshd.port).await;
    let client = sshd.client("user_ed25519", &sshd.known("host_ed25519", relay.port));
    client.configure_first(&format!("Port {}", relay.port));

    let mut seen = Vec::new();
    let observer = |host: &HostName, entry: &formats::wire::JournalEntry| {
        seen.push((host.0.clone(), entry.number));
        if entry.number == 1 {
            relay.cut();
        }
    };
    let verdict = run(vec![job(client.host(), 0)], LEASE, observer, CancellationToken::new()).await;
    assert!(verdict.is_success(), "{verdict:?}");
    assert_eq!(seen, [0, 1, 2, 3].map(|number| ("sdw1".to_owned(), number)));
    assert_eq!(verdict.hosts[0].peak_memory_bytes, 7);
    let requests = fs::read_to_string(agent.parent().unwrap().join("requests")).unwrap();
    assert_eq!((requests.matches("\"start\"").count(), requests.matches("\"attach\"").count()), (1, 1));
}

#[tokio::test]
async fn an_interrupt_stops_every_host() {
    let folder = tempfile::tempdir().unwrap();
    let jobs = (0..3).map(|i| job(local(&folder, &format!("sdw{i}"), &agent_script(VERSION)), i)).collect();
    let cancel = CancellationToken::new();
    let trigger = cancel.clone();
    let mut running = 0;
    let observer = |_: &HostName, entry: &formats::wire::JournalEntry| {
        running += u32::from(entry.number == 1);
        if running == 3 {
            trigger.cancel();
        }
    };
    let verdict = run(jobs, LEASE, observer, cancel).await;
    assert_eq!(verdict.cause, Some(Cause::Interrupted));
    assert!(verdict.hosts.iter().all(|host| matches!(host.end, End::Cancelled { .. })), "{verdict:?}");
}

#[tokio::test]
async fn a_failure_stops_the_others_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let jobs = vec![
        job(local(&folder, "sdw1", &agent_script(VERSION)), 4),
        job(local(&folder, "sdw2", &failing_agent_script()), 5),
    ];
    let verdict: Verdict = run(jobs, LEASE, |_, _| {}, CancellationToken::new()).await;
    let report = verdict.report().unwrap();
    assert!(report.message.starts_with("host sdw2, content 5: disk full; 1 other host "), "{}", report.message);
}

#[tokio::test]
async fn a_host_without_agent_fails_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Host::local(HostName("sdw2".into()), folder.path().join("nowhere"));
    let verdict = run(vec![job(missing, 0)], LEASE, |_, _| {}, CancellationToken::new()).await;
    let report = verdict.report().unwrap();
    assert!(report.message.starts_with("host sdw2: host sdw2 has no damson-agent"), "{}", report.message);
    assert!(report.remedy.is_some());
}
