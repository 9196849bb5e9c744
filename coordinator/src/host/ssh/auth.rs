//! Logging in with public keys, in an order that finds the right one within sshd's six attempts.
//!
//! First the keys of the agent that the configuration names, then the configured files, then the agent's other keys. An
//! encrypted file is used only through an agent: nobody is asked for a passphrase.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey, load_public_key, load_secret_key};
use tokio::net::UnixStream;

use super::destination::Destination;
use super::host_key::HostKeyCheck;
use crate::host::Error;

type Session = Handle<HostKeyCheck>;
type KeyAgent = AgentClient<UnixStream>;

/// What is left to say when no key opens the door.
#[derive(Default)]
struct Attempts {
    refused: Vec<String>,
    skipped: Vec<String>,
}

/// A key file of the configuration.
struct KeyFile {
    path: PathBuf,
    public: Option<PublicKey>,
    private: Option<PrivateKey>,
}

/// Logs in or says which keys were tried.
pub(super) async fn log_in(session: &mut Session, destination: &Destination) -> Result<(), Error> {
    let mut attempts = Attempts::default();
    let files = read_key_files(&destination.identity_files, &mut attempts);
    let (mut agent, agent_keys) = open_agent(destination, &mut attempts).await;
    let named =
        |key: &PublicKey| files.iter().any(|f| f.public.as_ref().is_some_and(|p| p.key_data() == key.key_data()));
    let (first, rest): (Vec<_>, Vec<_>) = agent_keys.into_iter().partition(|key| named(key));
    let rest = if destination.identities_only { Vec::new() } else { rest };

    // Asked for once, and only if somebody waits for it: an old server may take a second not to answer.
    let hash = session.best_supported_rsa_hash().await.ok().flatten().flatten();
    if let Some(agent) = &mut agent
        && try_agent(session, destination, agent, &first, hash, &mut attempts).await?
    {
        return Ok(());
    }
    for file in files {
        let Some(private) = file.private else { continue };
        if first.iter().any(|key| key.key_data() == private.public_key().key_data()) {
            continue;
        }
        let key = PrivateKeyWithHashAlg::new(Arc::new(private), hash);
        let result = session.authenticate_publickey(&destination.user, key).await;
        let label = file.path.display().to_string();
        if accepted(result.map_err(|e| e.to_string()), label, destination, &mut attempts)? {
            return Ok(());
        }
    }
    if let Some(agent) = &mut agent
        && try_agent(session, destination, agent, &rest, hash, &mut attempts).await?
    {
        return Ok(());
    }
    Err(attempts.failure(destination))
}

async fn try_agent(
    session: &mut Session,
    destination: &Destination,
    agent: &mut KeyAgent,
    keys: &[PublicKey],
    hash: Option<HashAlg>,
    attempts: &mut Attempts,
) -> Result<bool, Error> {
    for key in keys {
        let hash = if key.algorithm().is_rsa() { hash } else { None };
        let result = session.authenticate_publickey_with(&destination.user, key.clone(), hash, agent).await;
        let label = format!("{} of the key agent", key.fingerprint(HashAlg::Sha256));
        if accepted(result.map_err(|e| e.to_string()), label, destination, attempts)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// True if the key was taken. A key that cannot sign is passed over; a connection that ends here has had enough of us.
fn accepted(
    result: Result<AuthResult, String>,
    label: String,
    destination: &Destination,
    attempts: &mut Attempts,
) -> Result<bool, Error> {
    match result {
        Ok(AuthResult::Success) => Ok(true),
        Ok(AuthResult::Failure { partial_success: true, .. }) => {
            attempts.refused.push(format!("{label} (accepted, but the host asks for more than a key)"));
            Ok(false)
        }
        Ok(AuthResult::Failure { remaining_methods, .. }) => {
            attempts.refused.push(label);
            match remaining_methods.is_empty() {
                true => Err(attempts.failure(destination)),
                false => Ok(false),
            }
        }
        Err(error) => {
            attempts.skipped.push(format!("{label} ({error})"));
            Ok(false)
        }
    }
}

impl Attempts {
    fn failure(&self, destination: &Destination) -> Error {
        let mut tried = match self.refused.is_empty() {
            true => "there is no key to try".to_owned(),
            false => format!("the host refused {}", self.refused.join(", ")),
        };
        if !self.skipped.is_empty() {
            tried = format!("{tried}; not usable: {}", self.skipped.join(", "));
        }
        Error::Authentication { host: destination.host.clone(), user: destination.user.clone(), tried }
    }
}

/// The files that exist, each with what can be read of it.
fn read_key_files(paths: &[PathBuf], attempts: &mut Attempts) -> Vec<KeyFile> {
    let mut files = Vec::new();
    for path in paths.iter().filter(|path| path.exists()) {
        let (private, why) = match load_secret_key(path, None) {
            Ok(key) => (Some(key), None),
            Err(russh::keys::Error::KeyIsEncrypted) => (None, Some("it is encrypted".to_owned())),
            Err(error) => (None, Some(error.to_string())),
        };
        if let Some(why) = why {
            attempts.skipped.push(format!("{} ({why})", path.display()));
        }
        let public = match &private {
            Some(key) => Some(key.public_key().clone()),
            None => load_public_key(public_path(path)).ok(),
        };
        files.push(KeyFile { path: path.clone(), public, private });
    }
    files
}

fn public_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    PathBuf::from(name)
}

async fn open_agent(destination: &Destination, attempts: &mut Attempts) -> (Option<KeyAgent>, Vec<PublicKey>) {
    let Some(socket) = &destination.agent_socket else { return (None, Vec::new()) };
    let opened = async {
        let mut agent = AgentClient::connect_uds(socket).await?;
        let identities = agent.request_identities().await?;
        Ok::<_, russh::keys::Error>((agent, identities))
    };
    match opened.await {
        Ok((agent, identities)) => {
            let keys = identities.into_iter().filter_map(|identity| match identity {
                AgentIdentity::PublicKey { key, .. } => Some(key),
                AgentIdentity::Certificate { .. } => None,
            });
            (Some(agent), keys.collect())
        }
        Err(error) => {
            attempts.skipped.push(format!("the key agent at {} ({error})", socket.display()));
            (None, Vec::new())
        }
    }
}
