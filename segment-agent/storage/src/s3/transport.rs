//! HTTP under object_store: turns unsuccessful answers into [`ServerError`]s, and bounds how long a request may stall.
//!
//! A limit on the whole request would fail large parts on slow links, and a limit on reading runs while a body is being
//! sent. So small requests have a limit on each read, and large ones may take as long as a very slow link needs.

use super::failure::ServerError;
use super::xml;
use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
    ReqwestConnector,
};
use std::time::Duration;

/// A server that says nothing for this long is taken as dead.
const STALL: Duration = Duration::from_secs(60);
/// Bodies above this are uploads.
const SMALL_BODY_BYTES: u64 = 1 << 20;
/// A link slower than this is taken as dead.
const UPLOAD_BYTES_PER_SECOND: u64 = 64 << 10;

#[derive(Debug)]
pub(super) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let reqwest = ReqwestConnector::default();
        Ok(HttpClient::new(Transport {
            small: reqwest.connect(&options.clone().with_read_timeout(STALL))?,
            large: reqwest.connect(&options.clone().with_read_timeout_disabled())?,
        }))
    }
}

#[derive(Debug)]
struct Transport {
    small: HttpClient,
    large: HttpClient,
}

#[async_trait]
impl HttpService for Transport {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let sent_bytes = request.body().content_length() as u64;
        let is_post = request.method().as_str() == "POST";
        let response = if sent_bytes <= SMALL_BODY_BYTES {
            self.small.execute(request).await?
        } else {
            let limit = STALL + Duration::from_secs(sent_bytes / UPLOAD_BYTES_PER_SECOND);
            tokio::time::timeout(limit, self.large.execute(request))
                .await
                .map_err(|elapsed| HttpError::new(HttpErrorKind::Timeout, elapsed))??
        };
        match (response.status().is_success(), is_post) {
            (false, _) => Err(refusal(response).await),
            (true, true) => late_errors(response).await,
            (true, false) => Ok(response),
        }
    }
}

async fn refusal(response: HttpResponse) -> HttpError {
    let status = response.status().as_u16();
    let region = response.headers().get("x-amz-bucket-region").and_then(|value| value.to_str().ok()).map(str::to_owned);
    // The status is what counts: a body that cannot be read is no body.
    let body = response.into_body().bytes().await.unwrap_or_default();
    HttpError::new(HttpErrorKind::Unknown, ServerError::parse(status, &String::from_utf8_lossy(&body), region))
}

/// Deletions and completed uploads report some of their errors in the body of a success.
async fn late_errors(response: HttpResponse) -> Result<HttpResponse, HttpError> {
    let (parts, body) = response.into_parts();
    let body = body.bytes().await?;
    let text = String::from_utf8_lossy(&body);
    let Some(element) = xml::elements(&text, "Error").first().copied() else {
        return Ok(HttpResponse::from_parts(parts, HttpResponseBody::from(body.clone())));
    };
    let mut error = ServerError::parse(parts.status.as_u16(), element, None);
    if let Some(key) = xml::text(element, "Key") {
        error.message = format!("{} ({key})", error.message);
    }
    Err(HttpError::new(HttpErrorKind::Unknown, error))
}
