//! Where the key that signs requests comes from: the settings, web identity or container credentials when they are
//! configured, a profile of the shared credentials file, the metadata service of the instance.

use super::failure::{NoCredentials, chain};
use super::settings::{S3Credentials, S3Settings, Secret};
use crate::error::{Error, Result};
use async_trait::async_trait;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential, AwsCredentialProvider};
use object_store::{BackoffConfig, CredentialProvider, RetryConfig, StaticCredentialProvider};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(super) fn provider(settings: &S3Settings, region: &str) -> Result<AwsCredentialProvider> {
    let sources = &settings.credential_sources;
    if let Some(credentials) = &settings.credentials {
        return fixed(credentials);
    }
    if sources.provider_options.is_empty()
        && let Some(credentials) = shared_file(settings)?
    {
        return fixed(&credentials);
    }
    let retry =
        RetryConfig { backoff: BackoffConfig::default(), max_retries: 3, retry_timeout: Duration::from_secs(30) };
    let mut builder = AmazonS3Builder::new().with_bucket_name(&settings.bucket).with_region(region).with_retry(retry);
    for (name, value) in &sources.provider_options {
        let key: AmazonS3ConfigKey = name
            .to_ascii_lowercase()
            .parse()
            .map_err(|_| Error::setting(name, "not understood as a source of credentials"))?;
        builder = builder.with_config(key, value);
    }
    let built = builder.build().map_err(|error| Error::setting("AWS_ACCESS_KEY_ID", error.to_string()))?;
    Ok(Arc::new(Explained { source: built.credentials().clone(), worked: AtomicBool::new(false) }))
}

fn fixed(credentials: &S3Credentials) -> Result<AwsCredentialProvider> {
    let token = credentials.session_token.as_ref().map(Secret::reveal);
    for (name, text) in [
        ("AWS_ACCESS_KEY_ID", credentials.key_id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", credentials.secret_key.reveal()),
        ("AWS_SESSION_TOKEN", token.unwrap_or("-")),
    ] {
        // They go into HTTP headers.
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::setting(name, "it holds a character that no such key has"));
        }
    }
    Ok(Arc::new(StaticCredentialProvider::new(AwsCredential {
        key_id: credentials.key_id.clone(),
        secret_key: credentials.secret_key.reveal().to_owned(),
        token: token.map(str::to_owned),
    })))
}

/// A profile that was asked for by name must be there; the default one need not be.
fn shared_file(settings: &S3Settings) -> Result<Option<S3Credentials>> {
    let sources = &settings.credential_sources;
    let Some(path) = &sources.shared_file else { return Ok(None) };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && sources.profile.is_none() => return Ok(None),
        Err(error) => {
            return Err(Error::setting("AWS_SHARED_CREDENTIALS_FILE", format!("{}: {error}", path.display())));
        }
    };
    let found = profile(&text, sources.profile.as_deref().unwrap_or("default"));
    match (&sources.profile, found) {
        (Some(name), None) => {
            let reason = format!("{} has no keys in the section [{name}]", path.display());
            Err(Error::setting("AWS_PROFILE", reason))
        }
        (_, found) => Ok(found),
    }
}

/// The keys in the section `[name]` of an INI file; the last one of each counts.
fn profile(text: &str, name: &str) -> Option<S3Credentials> {
    let (mut key_id, mut secret_key, mut session_token) = (None, None, None);
    let mut in_section = false;
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.split(']').next().unwrap_or_default().trim();
            in_section = section == name || section.strip_prefix("profile ").map(str::trim) == Some(name);
        } else if let Some((key, value)) = line.split_once('=').filter(|_| in_section) {
            let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
            match key.trim().to_ascii_lowercase().as_str() {
                "aws_access_key_id" => key_id = value,
                "aws_secret_access_key" => secret_key = value,
                "aws_session_token" | "aws_security_token" => session_token = value,
                _ => {}
            }
        }
    }
    let session_token = session_token.map(Secret::new);
    Some(S3Credentials { key_id: key_id?, secret_key: Secret::new(secret_key?), session_token })
}

/// Says what to do when nobody has credentials. A source that had some and fails later is only out of order for a while.
#[derive(Debug)]
struct Explained {
    source: AwsCredentialProvider,
    worked: AtomicBool,
}

#[async_trait]
impl CredentialProvider for Explained {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        match self.source.get_credential().await {
            Ok(credential) => {
                self.worked.store(true, Ordering::Relaxed);
                Ok(credential)
            }
            Err(error) if self.worked.load(Ordering::Relaxed) => Err(error),
            Err(error) => {
                let source = Box::new(NoCredentials(chain(&error)));
                Err(object_store::Error::Generic { store: "S3", source })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# keys\n[default]\naws_access_key_id = AK1\naws_secret_access_key= SK=1 \n\n\
        [profile second]\r\nAWS_ACCESS_KEY_ID=AK2\r\naws_secret_access_key=SK2\r\n; no\naws_session_token = T2\n\
        [half]\naws_access_key_id=AK3\n[default]\nregion = x\n";

    #[test]
    fn profiles_are_read() {
        let first = profile(FILE, "default").unwrap();
        assert_eq!((first.key_id.as_str(), first.secret_key.reveal()), ("AK1", "SK=1"));
        assert_eq!(first.session_token, None);
        let second = profile(FILE, "second").unwrap();
        assert_eq!((second.key_id.as_str(), second.session_token.unwrap().reveal()), ("AK2", "T2"));
        assert_eq!(profile(FILE, "half"), None);
        assert_eq!(profile(FILE, "missing"), None);
    }

    #[test]
    fn keys_that_no_header_can_hold_are_refused_without_being_shown() {
        let bad = S3Credentials { key_id: "AK".into(), secret_key: Secret::new("s3cr\u{e9}t"), session_token: None };
        let error = fixed(&bad).unwrap_err();
        assert!(!error.to_string().contains("s3cr"), "{error}");
        assert!(!format!("{bad:?}").contains("s3cr"), "{bad:?}");
    }
}
