//! How the servers of a restored cluster recover, and whom they let in. Pure: what is written where, and by whom, is the
//! agents' business.

mod pg_hba;
mod release;

use formats::ContentId;
use formats::cluster::ClusterSentinel;
use formats::wire::RecoverySettings;

pub use pg_hba::pg_hba;
pub use release::Capabilities;

/// What keeps a restored cluster from being prepared for recovery.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "the backup's sentinel does not say which server it is of: gp_version is {version:?} and gp_flavor is {flavor:?}, \
         but a version such as `greenplum (6.25.3)` or `cloudberry (2.0.0)` is expected; without it the form of the recovery \
         settings is unknown"
    )]
    UnknownRelease { version: String, flavor: String },
    #[error("cannot write pg_hba.conf: the cluster has no coordinator (content -1)")]
    NoCoordinator,
    #[error(
        "cannot write pg_hba.conf: {host:?}, the host of content {content}, is neither a host name nor an IP address"
    )]
    InvalidHost { content: ContentId, host: String },
    #[error("cannot write pg_hba.conf: {user:?} cannot be the name of a user there: {why}")]
    InvalidUser { user: String, why: &'static str },
}

/// The settings with which the servers of the backup recover up to the restore point `target`.
pub fn recovery_settings(sentinel: &ClusterSentinel, target: &str) -> Result<RecoverySettings, Error> {
    let capabilities = Capabilities::of(&sentinel.gp_version, &sentinel.gp_flavor)?;
    Ok(RecoverySettings {
        target_name: target.to_owned(),
        target_action: capabilities.recovery_target_action.then(|| "promote".to_owned()),
        signal_file: capabilities.recovery_signal,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn settings(version: &str, flavor: &str) -> Result<RecoverySettings, Error> {
        let sentinel = json!({
            "start_time": "2026-01-01T00:00:00Z", "finish_time": "2026-01-01T00:00:00Z", "is_permanent": false,
            "gp_version": version, "gp_flavor": flavor
        });
        recovery_settings(&serde_json::from_value(sentinel).unwrap(), "rp1")
    }

    #[test]
    fn servers_recover_as_their_release_can() {
        let old = RecoverySettings { target_name: "rp1".to_owned(), target_action: None, signal_file: false };
        let new = RecoverySettings { target_action: Some("promote".to_owned()), signal_file: true, ..old.clone() };
        assert_eq!(settings("greenplum (6.25.3)", "greenplum").unwrap(), old);
        assert_eq!(settings("6.19.3", "").unwrap(), old);
        assert_eq!(settings("greenplum (7.1.0)", "greenplum").unwrap(), new);
        assert_eq!(settings("cloudberry (2.0.0)", "cloudberry").unwrap(), new);
        let error = settings("", "").unwrap_err().to_string();
        assert!(error.contains("gp_version is \"\""), "{error}");
    }
}
