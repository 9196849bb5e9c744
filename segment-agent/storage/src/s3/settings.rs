//! Everything that describes an S3 storage, and how WAL-G's settings say it.

use crate::error::{Error, Result};
use crate::key;
use crate::retry::RetryPolicy;
use crate::settings::{Lookup, bool_option, int_option, option};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// WAL-G's default of `S3_MAX_PART_SIZE`.
const PART_BYTES_DEFAULT: i64 = 20 << 20;
/// S3 refuses smaller parts (but for the last one) and larger ones.
const PART_BYTES_MIN: i64 = 5 << 20;
const PART_BYTES_MAX: i64 = 5 << 30;

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A key that signs requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Credentials {
    pub key_id: String,
    pub secret_key: Secret,
    pub session_token: Option<Secret>,
}

/// What encrypts objects at rest on the side of the storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerSideEncryption {
    /// `S3_SSE=AES256`.
    Aes256,
    /// `S3_SSE=aws:kms` with the key in `S3_SSE_KMS_ID`.
    Kms { key_id: String },
    /// `S3_SSE=AES256` with a raw customer key in `S3_SSE_C`.
    Customer { key: Secret },
}

/// Where credentials come from when none are set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CredentialSources {
    pub profile: Option<String>,
    pub shared_file: Option<PathBuf>,
    /// Values for object_store's own providers: web identity, container credentials.
    pub provider_options: Vec<(&'static str, String)>,
}

/// An S3 bucket and a folder in it.
#[derive(Debug, Clone)]
pub struct S3Settings {
    pub bucket: String,
    /// Without surrounding slashes; may be empty.
    pub folder: String,
    /// Without it: `us-east-1` at a custom endpoint, asked from the bucket at Amazon.
    pub region: Option<String>,
    /// `http://` or `https://`; without it: Amazon.
    pub endpoint: Option<String>,
    /// Puts the bucket into the path. An endpoint that is an IP address or `localhost` always has it there.
    pub force_path_style: bool,
    pub dual_stack: bool,
    /// Without them: the shared credentials file, then the metadata service of the instance.
    pub credentials: Option<S3Credentials>,
    pub(crate) credential_sources: CredentialSources,
    pub storage_class: Option<String>,
    pub encryption: Option<ServerSideEncryption>,
    /// PEM certificates to trust besides the system's.
    pub ca_cert_file: Option<PathBuf>,
    /// URL of an HTTP proxy; without it, the usual variables of the environment say whether there is one.
    pub proxy: Option<String>,
    /// At most two parts of this size are in memory per upload. Larger for objects that would need too many.
    pub part_size_bytes: u64,
    /// Parts of one upload that are sent while the next one is filled.
    pub part_concurrency: usize,
    pub delete_batch_size: usize,
    /// Lists with the first version of the call, for old servers.
    pub list_objects_v1: bool,
    /// Sent with every request.
    pub headers: Vec<(String, Secret)>,
    pub retry: RetryPolicy,
}

impl S3Settings {
    /// A folder of a bucket with all defaults and no credentials.
    pub fn new(bucket: &str, folder: &str) -> S3Settings {
        S3Settings {
            bucket: bucket.to_owned(),
            folder: key::folder(folder).to_owned(),
            region: None,
            endpoint: None,
            force_path_style: false,
            dual_stack: false,
            credentials: None,
            credential_sources: CredentialSources::default(),
            storage_class: None,
            encryption: None,
            ca_cert_file: None,
            proxy: None,
            part_size_bytes: PART_BYTES_DEFAULT as u64,
            part_concurrency: 1,
            delete_batch_size: 1000,
            list_objects_v1: false,
            headers: Vec::new(),
            retry: RetryPolicy::default(),
        }
    }

    pub(crate) fn from_lookup(name: &str, prefix: &str, lookup: Lookup<'_>) -> Result<S3Settings> {
        refuse_unsupported(lookup)?;
        let Some(rest) = prefix.strip_prefix("s3://") else {
            return Err(Error::setting(name, format!("`{prefix}` does not begin with s3://")));
        };
        let (bucket, folder) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(Error::setting(name, format!("`{prefix}` names no bucket")));
        }
        let batch = int_option(lookup, "S3_DELETE_BATCH_SIZE", 1000)?;
        Ok(S3Settings {
            region: option(lookup, "AWS_REGION").or_else(|| option(lookup, "AWS_DEFAULT_REGION")),
            endpoint: option(lookup, "AWS_ENDPOINT").map(with_scheme),
            force_path_style: bool_option(lookup, "AWS_S3_FORCE_PATH_STYLE", false)?,
            dual_stack: bool_option(lookup, "AWS_DUAL_STACK", false)?,
            credentials: credentials(lookup)?,
            credential_sources: credential_sources(lookup)?,
            storage_class: option(lookup, "S3_STORAGE_CLASS"),
            encryption: encryption(lookup)?,
            ca_cert_file: option(lookup, "S3_CA_CERT_FILE").or_else(|| lookup("AWS_CA_BUNDLE")).map(PathBuf::from),
            part_size_bytes: part_size(lookup)?,
            delete_batch_size: batch.clamp(1, 1000) as usize,
            list_objects_v1: bool_option(lookup, "S3_USE_LIST_OBJECTS_V1", false)?,
            headers: headers(lookup)?,
            retry: retry(lookup)?,
            ..S3Settings::new(bucket, folder)
        })
    }
}

/// Settings that change where data goes or how long it lives must not be ignored silently.
fn refuse_unsupported(lookup: Lookup<'_>) -> Result<()> {
    if option(lookup, "S3_ENDPOINT_SOURCE").is_some() {
        return Err(Error::setting("S3_ENDPOINT_SOURCE", "not supported; set AWS_ENDPOINT to the address itself"));
    }
    if int_option(lookup, "S3_RETENTION_PERIOD", -1)? > 0 {
        let reason = "not supported; set a default retention on the bucket instead";
        return Err(Error::setting("S3_RETENTION_PERIOD", reason));
    }
    if bool_option(lookup, "S3_USE_YC_SESSION_TOKEN", false)? {
        return Err(Error::setting("S3_USE_YC_SESSION_TOKEN", "not supported; use a static access key"));
    }
    Ok(())
}

fn with_scheme(endpoint: String) -> String {
    if endpoint.contains("://") { endpoint } else { format!("https://{endpoint}") }
}

fn credentials(lookup: Lookup<'_>) -> Result<Option<S3Credentials>> {
    let first = |names: [&str; 2]| names.into_iter().find_map(|name| option(lookup, name));
    let key_id = first(["AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"]);
    let secret_key = first(["AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"]);
    match (key_id, secret_key) {
        (Some(key_id), Some(secret_key)) => {
            let session_token = option(lookup, "AWS_SESSION_TOKEN").map(Secret);
            Ok(Some(S3Credentials { key_id, secret_key: Secret(secret_key), session_token }))
        }
        (None, None) => Ok(None),
        (Some(_), None) => {
            Err(Error::setting("AWS_SECRET_ACCESS_KEY", "it is not set, but AWS_ACCESS_KEY_ID is; set both or neither"))
        }
        (None, Some(_)) => {
            Err(Error::setting("AWS_ACCESS_KEY_ID", "it is not set, but AWS_SECRET_ACCESS_KEY is; set both or neither"))
        }
    }
}

fn credential_sources(lookup: Lookup<'_>) -> Result<CredentialSources> {
    const PROVIDER_OPTIONS: [&str; 6] = [
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    ];
    let provider_options: Vec<_> =
        PROVIDER_OPTIONS.into_iter().filter_map(|name| Some((name, option(lookup, name)?))).collect();
    let is_set = |wanted: &str| provider_options.iter().any(|(name, _)| *name == wanted);
    if is_set("AWS_ROLE_ARN") && !is_set("AWS_WEB_IDENTITY_TOKEN_FILE") {
        let reason = "assuming a role needs AWS_WEB_IDENTITY_TOKEN_FILE; otherwise set the keys of the role itself";
        return Err(Error::setting("AWS_ROLE_ARN", reason));
    }
    let home = || lookup("HOME").map(PathBuf::from).or_else(std::env::home_dir);
    let home_file = || home().map(|home| home.join(".aws/credentials"));
    Ok(CredentialSources {
        profile: lookup("AWS_PROFILE"),
        shared_file: lookup("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from).or_else(home_file),
        provider_options,
    })
}

fn encryption(lookup: Lookup<'_>) -> Result<Option<ServerSideEncryption>> {
    let algorithm = option(lookup, "S3_SSE");
    let kms_key = option(lookup, "S3_SSE_KMS_ID");
    let customer_key = option(lookup, "S3_SSE_C").map(Secret);
    match (algorithm.as_deref(), kms_key, customer_key) {
        (None, None, None) => Ok(None),
        (Some("AES256"), None, None) => Ok(Some(ServerSideEncryption::Aes256)),
        (Some("AES256"), None, Some(key)) if key.0.len() == 32 => Ok(Some(ServerSideEncryption::Customer { key })),
        (Some("AES256"), None, Some(_)) => Err(Error::setting("S3_SSE_C", "the key must have exactly 32 bytes")),
        (Some("aws:kms"), Some(key_id), None) => Ok(Some(ServerSideEncryption::Kms { key_id })),
        (Some("aws:kms"), None, _) => Err(Error::setting("S3_SSE_KMS_ID", "S3_SSE=aws:kms needs the id of a key")),
        (_, Some(_), _) => Err(Error::setting("S3_SSE_KMS_ID", "it needs S3_SSE=aws:kms and no S3_SSE_C")),
        (None, None, Some(_)) => Err(Error::setting("S3_SSE_C", "it needs S3_SSE=AES256")),
        (Some(other), None, _) => {
            Err(Error::setting("S3_SSE", format!("`{other}` is unknown; write AES256 or aws:kms")))
        }
    }
}

fn part_size(lookup: Lookup<'_>) -> Result<u64> {
    const NAME: &str = "S3_MAX_PART_SIZE";
    let bytes = int_option(lookup, NAME, PART_BYTES_DEFAULT)?;
    if (PART_BYTES_MIN..=PART_BYTES_MAX).contains(&bytes) {
        Ok(bytes as u64)
    } else {
        Err(Error::setting(NAME, format!("{bytes} is outside of 5 MiB (5242880) to 5 GiB (5368709120)")))
    }
}

/// A JSON map, or a list of maps.
fn headers(lookup: Lookup<'_>) -> Result<Vec<(String, Secret)>> {
    use std::collections::BTreeMap;
    const NAME: &str = "S3_REQUEST_ADDITIONAL_HEADERS";
    let Some(text) = option(lookup, NAME) else { return Ok(Vec::new()) };
    let map: Result<BTreeMap<String, String>, _> = serde_json::from_str(&text);
    let maps = match map {
        Ok(map) => vec![map],
        Err(_) => serde_json::from_str::<Vec<BTreeMap<String, String>>>(&text)
            .map_err(|_| Error::setting(NAME, "it is neither a map of names to values nor a list of such maps"))?,
    };
    Ok(maps.into_iter().flatten().map(|(name, value)| (name, Secret(value))).collect())
}

fn retry(lookup: Lookup<'_>) -> Result<RetryPolicy> {
    let default = RetryPolicy::default();
    let millis = |name: &str, default: Duration| -> Result<Duration> {
        let value = int_option(lookup, name, default.as_millis() as i64)?;
        u64::try_from(value).map(Duration::from_millis).map_err(|_| Error::setting(name, "it must not be negative"))
    };
    let retries = int_option(lookup, "S3_MAX_RETRIES", i64::from(default.retries_max))?;
    Ok(RetryPolicy {
        retries_max: u32::try_from(retries).map_err(|_| Error::setting("S3_MAX_RETRIES", "it must not be negative"))?,
        throttle_delay_min: millis("S3_MIN_THROTTLING_RETRY_DELAY", default.throttle_delay_min)?,
        throttle_delay_max: millis("S3_MAX_THROTTLING_RETRY_DELAY", default.throttle_delay_max)?,
        ..default
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn read(prefix: &str, settings: &[(&str, &str)]) -> Result<S3Settings> {
        let map: HashMap<&str, &str> = settings.iter().copied().collect();
        S3Settings::from_lookup("WALG_S3_PREFIX", prefix, &|name| map.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn defaults_are_those_of_wal_g() {
        let settings = read("s3://bucket", &[]).unwrap();
        assert_eq!((settings.bucket.as_str(), settings.folder.as_str()), ("bucket", ""));
        assert_eq!(settings.part_size_bytes, 20_971_520);
        assert_eq!((settings.retry.retries_max, settings.delete_batch_size), (15, 1000));
        assert_eq!(settings.retry.throttle_delay_min, Duration::from_millis(500));
        assert!(!settings.force_path_style && settings.credentials.is_none() && settings.storage_class.is_none());
    }

    #[test]
    fn every_spelling_of_an_option_is_understood() {
        let settings = read(
            "s3://bucket/a/b/",
            &[
                ("AWS_ACCESS_KEY", "AK"),
                ("WALE_AWS_SECRET_KEY", "SK"),
                ("AWS_SESSION_TOKEN", "T"),
                ("AWS_ENDPOINT", "minio.example.org:9000"),
                ("AWS_S3_FORCE_PATH_STYLE", "True"),
                ("WALG_S3_STORAGE_CLASS", "STANDARD_IA"),
                ("WALE_S3_MAX_PART_SIZE", "10485760"),
                ("S3_MAX_RETRIES", "3"),
                ("WALG_S3_MIN_THROTTLING_RETRY_DELAY", "7"),
                ("S3_SSE", "aws:kms"),
                ("S3_SSE_KMS_ID", "key-1"),
                ("S3_REQUEST_ADDITIONAL_HEADERS", "[{\"X-A\": \"1\"}, {\"X-B\": \"two\"}]"),
                ("AWS_REGION", "eu-west-1"),
                ("WALG_S3_CA_CERT_FILE", "/etc/ca.pem"),
            ],
        )
        .unwrap();
        assert_eq!(settings.folder, "a/b");
        let credentials = settings.credentials.unwrap();
        assert_eq!((credentials.key_id.as_str(), credentials.secret_key.reveal()), ("AK", "SK"));
        assert_eq!(settings.endpoint.as_deref(), Some("https://minio.example.org:9000"));
        assert!(settings.force_path_style);
        assert_eq!(settings.storage_class.as_deref(), Some("STANDARD_IA"));
        assert_eq!((settings.part_size_bytes, settings.retry.retries_max), (10 << 20, 3));
        assert_eq!(settings.retry.throttle_delay_min, Duration::from_millis(7));
        assert_eq!(settings.encryption, Some(ServerSideEncryption::Kms { key_id: "key-1".to_owned() }));
        assert_eq!(settings.headers.len(), 2);
        assert_eq!(settings.ca_cert_file, Some(PathBuf::from("/etc/ca.pem")));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name_and_without_the_secret() {
        for (name, settings) in [
            ("AWS_SECRET_ACCESS_KEY", vec![("AWS_ACCESS_KEY_ID", "s3cr")]),
            ("AWS_ACCESS_KEY_ID", vec![("AWS_SECRET_ACCESS_KEY", "s3cr")]),
            ("S3_SSE", vec![("S3_SSE", "rot13")]),
            ("S3_SSE_KMS_ID", vec![("S3_SSE", "aws:kms")]),
            ("S3_SSE_KMS_ID", vec![("S3_SSE", "AES256"), ("S3_SSE_KMS_ID", "k")]),
            ("S3_SSE_C", vec![("S3_SSE_C", "s3cr")]),
            ("S3_SSE_C", vec![("S3_SSE", "AES256"), ("S3_SSE_C", "s3cr-too-short")]),
            ("S3_MAX_PART_SIZE", vec![("S3_MAX_PART_SIZE", "1000")]),
            ("S3_MAX_RETRIES", vec![("S3_MAX_RETRIES", "-1")]),
            ("S3_ENDPOINT_SOURCE", vec![("S3_ENDPOINT_SOURCE", "http://x")]),
            ("S3_RETENTION_PERIOD", vec![("WALG_S3_RETENTION_PERIOD", "60")]),
            ("AWS_ROLE_ARN", vec![("AWS_ROLE_ARN", "arn:x")]),
            ("S3_REQUEST_ADDITIONAL_HEADERS", vec![("S3_REQUEST_ADDITIONAL_HEADERS", "s3cr")]),
        ] {
            let error = read("s3://bucket", &settings).unwrap_err().to_string();
            assert!(error.starts_with(&format!("setting {name}:")) && !error.contains("s3cr"), "{error}");
        }
        assert!(read("s3:///path", &[]).is_err());
        assert!(read("/bucket", &[]).is_err());
    }
}
