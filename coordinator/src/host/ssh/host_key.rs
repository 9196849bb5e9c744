//! The decision on the key that a host shows, during the key exchange.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use russh::client::Handler;
use russh::keys::{Algorithm, HashAlg, PublicKey, PublicKeyOrCertificate};

use super::destination::Destination;
use super::known_name;
use crate::host::known_hosts::{Judgement, KnownHosts, append};
use crate::host::{Error, HostKeyPolicy, HostName};

/// Held while a new key is looked up once more and recorded.
static RECORDING: Mutex<()> = Mutex::new(());

/// Why a session ended.
#[derive(Debug)]
pub(super) enum SessionError {
    Refused(Box<Error>),
    Ssh(russh::Error),
}

impl From<russh::Error> for SessionError {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

/// Accepts only known keys, or records an unknown one where the policy says so.
pub(super) struct HostKeyCheck {
    host: HostName,
    address: String,
    port: u16,
    name: String,
    known: KnownHosts,
    policy: HostKeyPolicy,
    files: Vec<PathBuf>,
}

impl HostKeyCheck {
    pub(super) fn new(destination: &Destination, known: KnownHosts) -> Self {
        Self {
            host: destination.host.clone(),
            address: destination.address.clone(),
            port: destination.port,
            name: known_name(destination),
            known,
            policy: destination.host_keys,
            files: destination.user_known_hosts.clone(),
        }
    }

    fn check(&self, key: &PublicKey) -> Result<(), Error> {
        let fingerprint = format!("{} {}", family(&key.algorithm()), key.fingerprint(HashAlg::Sha256));
        let algorithm = family(&key.algorithm());
        let bytes =
            key.to_bytes().map_err(|e| Error::Ssh { host: self.host.clone(), source: russh::Error::from(e) })?;
        let judged = self.known.judge(&algorithm, &bytes);
        let (Judgement::Unknown, HostKeyPolicy::AcceptNew, Some(file)) = (&judged, self.policy, self.files.first())
        else {
            return self.verdict(judged, fingerprint);
        };
        // Another connection to the same host may have recorded its key since this one read the files.
        let _alone = RECORDING.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |(file, source)| Error::KnownHostsFile { file, source };
        let known = KnownHosts::read(&self.files, &self.name).map_err(failed)?;
        match known.judge(&algorithm, &bytes) {
            Judgement::Unknown => {
                tracing::info!(host = %self.host, "recording the new host key {fingerprint} in {}", file.display());
                append(file, &self.name, &algorithm, &bytes).map_err(|source| failed((file.clone(), source)))
            }
            judged => self.verdict(judged, fingerprint),
        }
    }

    fn verdict(&self, judged: Judgement, fingerprint: String) -> Result<(), Error> {
        let host = self.host.clone();
        match judged {
            Judgement::Known => Ok(()),
            Judgement::Changed { file, line } => {
                Err(Error::HostKeyChanged { host, name: self.name.clone(), fingerprint, file, line })
            }
            Judgement::Revoked { file, line } => Err(Error::HostKeyRevoked { host, fingerprint, file, line }),
            Judgement::Unknown => Err(self.unknown(fingerprint)),
        }
    }

    fn unknown(&self, fingerprint: String) -> Error {
        let files: Vec<String> = self.files.iter().map(|file| file.display().to_string()).collect();
        Error::HostKeyUnknown {
            host: self.host.clone(),
            address: self.address.clone(),
            port: self.port,
            fingerprint,
            files: files.join(", "),
        }
    }
}

impl Handler for HostKeyCheck {
    type Error = SessionError;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, SessionError> {
        match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => {
                self.check(key).map_err(|refusal| SessionError::Refused(Box::new(refusal)))?;
                Ok(true)
            }
            // Never asked for.
            PublicKeyOrCertificate::Certificate(_) => Ok(false),
        }
    }
}

/// Name of the key's kind as known_hosts has it: RSA keys are `ssh-rsa` whatever hash signs with them.
pub(super) fn family(algorithm: &Algorithm) -> String {
    match algorithm {
        Algorithm::Rsa { .. } => "ssh-rsa".to_owned(),
        other => other.to_string(),
    }
}
