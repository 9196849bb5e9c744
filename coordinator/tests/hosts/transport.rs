//! Hosts over a real sshd: host keys, logins, the agent's greeting, its installation.

use std::fs;
use std::path::Path;
use std::process::Command;

use coordinator::host::{Agent, Error, Host, HostKeyPolicy, HostName, Installed, SshOptions, VERSION, install};
use formats::wire::{JobId, Reply, Request};

use crate::rig::sshd::{Client, KeyAgent, Sshd};
use crate::rig::{agent_script, write_script};

const CONFIG: &str = "/etc/damson.yaml";

fn installed_agent(sshd: &Sshd, version: &str) {
    let path = format!(".local/lib/damson/damson-agent-{VERSION}");
    write_script(&sshd.in_home(&path), &agent_script(version));
    sshd.give_home();
}

async fn open(host: &Host) -> Result<Agent, Error> {
    Agent::open(host, Path::new(CONFIG)).await
}

async fn refusal(host: &Host) -> Error {
    match open(host).await {
        Ok(_) => panic!("the host was accepted"),
        Err(error) => error,
    }
}

fn known_client(sshd: &Sshd) -> Client {
    sshd.client("user_ed25519", &sshd.known("host_ed25519", sshd.port))
}

#[tokio::test]
async fn an_agent_is_greeted_and_spoken_to() {
    let sshd = Sshd::start();
    installed_agent(&sshd, VERSION);
    for key in ["user_ed25519", "user_rsa"] {
        let client = sshd.client(key, &sshd.known("host_ed25519", sshd.port));
        let mut agent = open(&client.host()).await.unwrap();
        assert_eq!(agent.greeting().host, "stand-in");
        agent.send(&Request::Heartbeat).await.unwrap();
        assert_eq!(agent.next().await.unwrap(), Reply::Alive);
    }
}

#[tokio::test]
async fn a_changed_host_key_is_refused() {
    let sshd = Sshd::start();
    let lie = format!("# keys\n{}", sshd.known("stranger", sshd.port));
    let client = sshd.client("user_ed25519", &lie);
    for policy in [HostKeyPolicy::Strict, HostKeyPolicy::AcceptNew] {
        let options = SshOptions { host_keys: Some(policy), ..client.options() };
        let error = refusal(&Host::ssh(HostName("sdw1".into()), options)).await;
        let Error::HostKeyChanged { file, line, .. } = &error else { panic!("{error}") };
        assert_eq!((file, *line), (&client.path("known_hosts"), 2));
        assert!(error.remedy().unwrap().contains("ssh-keygen -R"), "{error:?}");
        assert!(!error.is_transient());
    }
    assert_eq!(fs::read_to_string(client.path("known_hosts")).unwrap(), lie);
}

#[tokio::test]
async fn an_unknown_host_is_refused_or_recorded() {
    let sshd = Sshd::start();
    installed_agent(&sshd, VERSION);
    let client = sshd.client("user_ed25519", "");
    let error = refusal(&client.host()).await;
    assert!(matches!(error, Error::HostKeyUnknown { .. }), "{error}");
    assert!(error.to_string().contains("SHA256:"), "{error}");

    let options = SshOptions { host_keys: Some(HostKeyPolicy::AcceptNew), ..client.options() };
    open(&Host::ssh(HostName("sdw1".into()), options)).await.unwrap();
    let recorded = fs::read_to_string(client.path("known_hosts")).unwrap();
    assert!(recorded.starts_with(&format!("[127.0.0.1]:{} ssh-", sshd.port)), "{recorded}");
    open(&client.host()).await.unwrap();
}

#[tokio::test]
async fn the_known_algorithm_is_asked_for() {
    let sshd = Sshd::start();
    installed_agent(&sshd, VERSION);
    let client = sshd.client("user_ed25519", &sshd.known("host_rsa", sshd.port));
    let hashed = Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(client.path("known_hosts")).output();
    assert!(hashed.unwrap().status.success());
    open(&client.host()).await.unwrap();
}

#[tokio::test]
async fn a_revoked_host_key_is_refused() {
    let sshd = Sshd::start();
    let known = sshd.known("host_ed25519", sshd.port);
    let client = sshd.client("user_ed25519", &format!("{known}@revoked * {}", known.split_once(' ').unwrap().1));
    let error = refusal(&client.host()).await;
    assert!(matches!(error, Error::HostKeyRevoked { line: 2, .. }), "{error}");
}

#[tokio::test]
async fn a_wrong_key_is_refused_with_its_name() {
    let sshd = Sshd::start();
    let client = sshd.client("stranger", &sshd.known("host_ed25519", sshd.port));
    let error = refusal(&client.host()).await;
    assert!(matches!(error, Error::Authentication { .. }), "{error}");
    assert!(error.to_string().contains(&sshd.path("stranger").display().to_string()), "{error}");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn an_encrypted_key_is_named_and_works_through_the_key_agent() {
    let sshd = Sshd::start();
    installed_agent(&sshd, VERSION);
    let client = known_client(&sshd);
    let locked = sshd.path("user_ed25519");
    let keys = KeyAgent::holding(&locked, client.path("agent.sock"));
    let lock = Command::new("ssh-keygen").args(["-q", "-p", "-P", "", "-N", "secret", "-f"]).arg(&locked).output();
    assert!(lock.unwrap().status.success());

    let error = refusal(&client.host()).await;
    assert!(error.to_string().contains("it is encrypted"), "{error}");
    client.configure_first(&format!("IdentityAgent {}", keys.socket.display()));
    open(&client.host()).await.unwrap();
}

#[tokio::test]
async fn a_host_behind_another_is_reached() {
    let sshd = Sshd::start();
    installed_agent(&sshd, VERSION);
    let client = known_client(&sshd);
    open(&Host::ssh(HostName("jumped".into()), client.options())).await.unwrap();
}

#[tokio::test]
async fn another_version_and_no_agent_are_refused_with_the_command_that_mends_it() {
    let sshd = Sshd::start();
    let client = known_client(&sshd);
    let missing = refusal(&client.host()).await;
    installed_agent(&sshd, "0.0.9");
    let other = refusal(&client.host()).await;
    assert!(matches!(missing, Error::AgentMissing { .. }), "{missing}");
    assert!(matches!(other, Error::AgentVersion { .. }), "{other}");
    assert!(other.to_string().contains("sdw1") && other.to_string().contains("0.0.9"), "{other}");
    for error in [missing, other] {
        assert_eq!(error.remedy().unwrap(), format!("run: damson hosts install --config {CONFIG}"));
        assert!(!error.is_transient());
    }
}

#[tokio::test]
async fn the_configured_agent_comes_first() {
    let sshd = Sshd::start();
    installed_agent(&sshd, "0.0.9");
    let client = known_client(&sshd);
    let agent_path = write_script(&sshd.in_home("it's here/agent"), &agent_script(VERSION));
    sshd.give_home();
    let options = SshOptions { agent_path: Some(agent_path.display().to_string()), ..client.options() };
    open(&Host::ssh(HostName("sdw1".into()), options)).await.unwrap();
}

#[tokio::test]
async fn an_installed_agent_answers() {
    let sshd = Sshd::start();
    sshd.give_home();
    let client = known_client(&sshd);
    let source = write_script(&client.path("damson-agent"), &agent_script(VERSION));
    let target = sshd.in_home(&format!(".local/lib/damson/damson-agent-{VERSION}"));
    for _ in 0..2 {
        let installed = install(&client.host(), &source).await.unwrap();
        assert_eq!(installed, Installed::At(target.display().to_string()));
        open(&client.host()).await.unwrap();
    }

    let wrong = write_script(&client.path("wrong"), &agent_script("0.0.9"));
    let error = install(&client.host(), &wrong).await.unwrap_err();
    assert!(error.to_string().contains("0.0.9"), "{error}");
    let left: Vec<_> = fs::read_dir(target.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".tmp")), "{left:?}");
    open(&client.host()).await.unwrap();
}

#[tokio::test]
async fn an_agent_that_dies_is_a_lost_connection() {
    let sshd = Sshd::start();
    let client = known_client(&sshd);
    let script = agent_script(VERSION).replace("while read", "echo 'out of luck' >&2; exit 3\nwhile read");
    write_script(&sshd.in_home(&format!(".local/lib/damson/damson-agent-{VERSION}")), &script);
    sshd.give_home();
    let mut agent = open(&client.host()).await.unwrap();
    let error = agent.next().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(error.to_string().contains("exit status 3") && error.to_string().contains("out of luck"), "{error}");
    // More than fits into the channel's window, with nobody left to read it.
    let attach = Request::Attach { job: JobId("x".repeat(4 << 20)), from: 0 };
    assert!(agent.send(&attach).await.is_err());
}

#[tokio::test]
async fn a_local_agent_needs_no_ssh() {
    let folder = tempfile::tempdir().unwrap();
    let script = write_script(&folder.path().join("damson-agent"), &agent_script(VERSION));
    let host = Host::local(HostName("mdw".into()), script.clone());
    let mut agent = open(&host).await.unwrap();
    agent.send(&Request::Heartbeat).await.unwrap();
    assert_eq!(agent.next().await.unwrap(), Reply::Alive);
    assert_eq!(install(&host, &script).await.unwrap(), Installed::Local);

    let missing = refusal(&Host::local(HostName("mdw".into()), folder.path().join("nowhere"))).await;
    assert!(matches!(missing, Error::AgentMissing { local: true, .. }), "{missing}");
}

#[tokio::test]
async fn nobody_there_is_transient() {
    let sshd = Sshd::start();
    let client = known_client(&sshd);
    drop(sshd);
    let error = refusal(&client.host()).await;
    assert!(matches!(error, Error::Connect { .. } | Error::Authentication { .. }), "{error}");
}
