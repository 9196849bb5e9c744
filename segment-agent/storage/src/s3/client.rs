//! The connection to a bucket, and the loop around every request.
//!
//! object_store makes and signs the requests. Its own retries are off: the loop here signs anew for every attempt, knows
//! which failures are worth one, and waits under one deadline.

use super::address::Address;
use super::credentials;
use super::failure::{Failure, chain};
use super::settings::{S3Settings, ServerSideEncryption};
use super::transport::Connector;
use crate::error::{Error, ErrorKind, Result};
use crate::retry::Attempts;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use object_store::aws::{
    AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, AwsAuthorizer, AwsCredentialProvider, resolve_bucket_region,
};
use object_store::client::{HttpClient, HttpConnector, HttpRequest, HttpRequestBody};
use object_store::{BackoffConfig, Certificate, ClientOptions, HeaderMap, HeaderValue, RetryConfig};
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::OnceCell;

#[derive(Debug)]
pub(super) struct Client {
    pub settings: S3Settings,
    options: ClientOptions,
    /// Made at the first request, because the region may have to be asked for.
    connection: OnceCell<Connection>,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub bucket: AmazonS3,
    http: HttpClient,
    address: Address,
    region: String,
    credentials: AwsCredentialProvider,
    headers: HeaderMap,
}

impl Client {
    /// Checks everything that can be checked without the network.
    pub(super) fn new(settings: S3Settings) -> Result<Client> {
        let options = client_options(&settings)?;
        let client = Client { settings, options, connection: OnceCell::new() };
        let known = client.known_region();
        let connection = client.connect(known.as_deref().unwrap_or("us-east-1"))?;
        let connection = if known.is_some() { OnceCell::new_with(Some(connection)) } else { OnceCell::new() };
        Ok(Client { connection, ..client })
    }

    /// Tries until it works, cannot work, or takes too long.
    pub(super) async fn run<T, F, Attempt>(&self, mut attempt: F) -> Result<T, Failure>
    where
        F: FnMut() -> Attempt,
        Attempt: Future<Output = Result<T, Failure>>,
    {
        let mut attempts = Attempts::new(&self.settings.retry);
        loop {
            match attempt().await {
                Ok(value) => return Ok(value),
                Err(failure) => pause(&mut attempts, failure).await?,
            }
        }
    }

    pub(super) async fn connection(&self) -> Result<&Connection, Failure> {
        self.connection
            .get_or_try_init(|| async {
                let region = resolve_bucket_region(&self.settings.bucket, &self.options).await?;
                self.connect(&region).map_err(|error| Failure::new(ErrorKind::Invalid, error.to_string()))
            })
            .await
    }

    fn known_region(&self) -> Option<String> {
        let elsewhere = self.settings.endpoint.is_some().then(|| "us-east-1".to_owned());
        self.settings.region.clone().or(elsewhere)
    }

    fn connect(&self, region: &str) -> Result<Connection> {
        let settings = &self.settings;
        if region.is_empty() || !region.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::setting("AWS_REGION", "it is no name of a region"));
        }
        let address = Address::new(settings, region);
        let credentials = credentials::provider(settings, region)?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&settings.bucket)
            .with_region(region)
            .with_endpoint(&address.endpoint)
            .with_virtual_hosted_style_request(address.bucket_in_host)
            .with_credentials(credentials.clone())
            .with_client_options(self.options.clone())
            .with_http_connector(Connector)
            .with_disable_tagging(true)
            .with_retry(no_retries());
        if let Some(encryption) = &settings.encryption {
            builder = with_encryption(builder, encryption)?;
        }
        let failed = |error: object_store::Error| Error::setting("WALG_S3_PREFIX", chain(&error));
        Ok(Connection {
            bucket: builder.build().map_err(failed)?,
            http: Connector.connect(&self.options).map_err(failed)?,
            address,
            region: region.to_owned(),
            credentials,
            headers: headers(settings)?,
        })
    }
}

/// Waits before the next attempt, or gives up.
pub(super) async fn pause(attempts: &mut Attempts, failure: Failure) -> Result<(), Failure> {
    if failure.kind != ErrorKind::Transient {
        return Err(failure);
    }
    match attempts.after_failure(failure.throttled) {
        Some(delay) => {
            tracing::info!(reason = %failure.reason, delay_ms = delay.as_millis() as u64, "trying again");
            tokio::time::sleep(delay).await;
            Ok(())
        }
        None => Err(Failure { reason: format!("{} ({})", failure.reason, attempts.summary()), ..failure }),
    }
}

impl Connection {
    /// The answer to a signed GET on the bucket itself, for calls that object_store does not make, or makes too strictly.
    pub(super) async fn ask(&self, query: &[(&str, &str)]) -> Result<String, Failure> {
        let query: Vec<String> = query.iter().map(|(key, value)| format!("{key}={}", encode(value))).collect();
        let url = format!("{}/?{}", self.address.bucket_url, query.join("&"));
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.headers_mut() = self.headers.clone();
        *request.uri_mut() = url.parse().map_err(|_| Failure::new(ErrorKind::Invalid, format!("bad address {url}")))?;
        let credential = self.credentials.get_credential().await?;
        AwsAuthorizer::new(&credential, "s3", &self.region).try_authorize(&mut request, None)?;
        let body = self.http.execute(request).await?.into_body().bytes().await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}

/// Percent-encodes all but the unreserved characters, as signatures want it.
fn encode(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

fn no_retries() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout: Duration::ZERO }
}

fn with_encryption(builder: AmazonS3Builder, encryption: &ServerSideEncryption) -> Result<AmazonS3Builder> {
    Ok(match encryption {
        ServerSideEncryption::Aes256 => {
            let key: AmazonS3ConfigKey = "aws_server_side_encryption"
                .parse()
                .map_err(|error: object_store::Error| Error::setting("S3_SSE", error.to_string()))?;
            builder.with_config(key, "AES256")
        }
        ServerSideEncryption::Kms { key_id } => builder.with_sse_kms_encryption(key_id),
        ServerSideEncryption::Customer { key } => builder.with_ssec_encryption(BASE64_STANDARD.encode(key.reveal())),
    })
}

fn client_options(settings: &S3Settings) -> Result<ClientOptions> {
    let is_plain = settings.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    let mut options = ClientOptions::new()
        .with_allow_http(is_plain)
        .with_timeout_disabled()
        .with_connect_timeout(Duration::from_secs(10))
        .with_user_agent(HeaderValue::from_static("damson"))
        .with_default_headers(headers(settings)?);
    if let Some(proxy) = &settings.proxy {
        options = options.with_proxy_url(proxy);
    }
    if let Some(path) = &settings.ca_cert_file {
        let failed = |reason: String| Error::setting("S3_CA_CERT_FILE", format!("{}: {reason}", path.display()));
        let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| failed(error.to_string()))?;
        if certificates.is_empty() {
            return Err(failed("it holds no certificate in PEM form".to_owned()));
        }
        options = certificates.into_iter().fold(options, ClientOptions::with_root_certificate);
    }
    Ok(options)
}

fn headers(settings: &S3Settings) -> Result<HeaderMap> {
    let texts: HashMap<String, String> =
        settings.headers.iter().map(|(name, value)| (name.clone(), value.reveal().to_owned())).collect();
    HeaderMap::try_from(&texts)
        .map_err(|_| Error::setting("S3_REQUEST_ADDITIONAL_HEADERS", "it holds what cannot be an HTTP header"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_values_are_encoded() {
        assert_eq!(encode("a/b c+d=ü~"), "a%2Fb%20c%2Bd%3D%C3%BC~");
    }
}
