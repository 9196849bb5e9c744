//! Why a request failed: is it worth another attempt, and if not, what should the operator check?

use super::xml;
use crate::error::{Error, ErrorKind};
use crate::record::Operation;
use object_store::client::HttpError;
use std::error::Error as StdError;

/// An answer of the server that is not a success.
#[derive(Debug, thiserror::Error)]
#[error("the server answered {status} {code}: {message}")]
pub(super) struct ServerError {
    pub status: u16,
    /// S3's error code; empty when the answer had no body (as for HEAD).
    pub code: String,
    pub message: String,
    /// The region of the bucket, when the server knows that it was not asked there.
    pub region: Option<String>,
}

impl ServerError {
    pub(super) fn parse(status: u16, body: &str, region_header: Option<String>) -> ServerError {
        ServerError {
            status,
            code: xml::text(body, "Code").unwrap_or_default(),
            message: xml::text(body, "Message").unwrap_or_else(|| "no explanation".to_owned()),
            region: region_header.or_else(|| xml::text(body, "Region")),
        }
    }
}

/// No source of credentials has any.
#[derive(Debug, thiserror::Error)]
#[error(
    "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in the shared credentials file; \
     the metadata service of the instance was asked too: {0}"
)]
pub(super) struct NoCredentials(pub String);

/// A failed attempt.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// [`ErrorKind::Transient`] is what another attempt may mend.
    pub kind: ErrorKind,
    /// The server asked to slow down.
    pub throttled: bool,
    /// S3's error code, if there was one.
    pub code: String,
    pub reason: String,
}

impl Failure {
    pub(super) fn new(kind: ErrorKind, reason: impl Into<String>) -> Failure {
        Failure { kind, throttled: false, code: String::new(), reason: reason.into() }
    }

    pub(super) fn into_error(self, operation: Operation, location: String) -> Error {
        Error::new(self.kind, operation, location, self.reason)
    }
}

impl From<object_store::Error> for Failure {
    fn from(error: object_store::Error) -> Failure {
        let mut cause: Option<&(dyn StdError + 'static)> = Some(&error);
        let mut connection = None;
        while let Some(current) = cause {
            if let Some(server) = current.downcast_ref::<ServerError>() {
                return of_server(server);
            }
            if let Some(none) = current.downcast_ref::<NoCredentials>() {
                return Failure::new(ErrorKind::Denied, none.to_string());
            }
            if current.is::<HttpError>() {
                connection = current.source();
            }
            cause = current.source();
        }
        if let Some(connection) = connection {
            return of_connection(chain(connection));
        }
        let text = chain(&error);
        let kind = match error {
            object_store::Error::NotFound { .. } => ErrorKind::NotFound,
            object_store::Error::Precondition { .. } => ErrorKind::Corrupt,
            object_store::Error::InvalidPath { .. }
            | object_store::Error::NotSupported { .. }
            | object_store::Error::UnknownConfigurationKey { .. } => ErrorKind::Invalid,
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                ErrorKind::Denied
            }
            _ => return of_connection(text),
        };
        Failure::new(kind, text)
    }
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Failure {
        Failure::from(object_store::Error::Generic { store: "S3", source: Box::new(error) })
    }
}

/// The request got no answer.
fn of_connection(text: String) -> Failure {
    if text.contains("certificate") {
        let advice =
            "the certificate of the server is not trusted; check AWS_ENDPOINT, or name its CA in S3_CA_CERT_FILE";
        return Failure::new(ErrorKind::Invalid, format!("{advice}: {text}"));
    }
    Failure::new(ErrorKind::Transient, text)
}

fn of_server(error: &ServerError) -> Failure {
    let kind = kind(error.status, &error.code);
    let throttled = matches!(error.status, 429 | 503) || THROTTLING.contains(&error.code.as_str());
    let advice = advice(error, kind).map(|advice| format!("; {advice}")).unwrap_or_default();
    Failure { kind, throttled, code: error.code.clone(), reason: format!("{error}{advice}") }
}

const THROTTLING: [&str; 5] =
    ["SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests"];

fn kind(status: u16, code: &str) -> ErrorKind {
    match (status, code) {
        (_, "NoSuchBucket" | "NoSuchUpload" | "NotImplemented") => ErrorKind::Invalid,
        (_, "AccessDenied" | "ExpiredToken" | "InvalidToken" | "InvalidAccessKeyId" | "SignatureDoesNotMatch") => {
            ErrorKind::Denied
        }
        (_, "QuotaExceeded" | "XMinioStorageFull" | "InsufficientStorage") => ErrorKind::NoSpace,
        // The body was cut or changed on its way, or came too slowly.
        (400, "RequestTimeout" | "BadDigest" | "IncompleteBody" | "XAmzContentSHA256Mismatch") => ErrorKind::Transient,
        (401 | 403, _) => ErrorKind::Denied,
        (404, _) => ErrorKind::NotFound,
        (412, _) => ErrorKind::Corrupt,
        (507, _) => ErrorKind::NoSpace,
        (408 | 409 | 425 | 429 | 499, _) => ErrorKind::Transient,
        (501 | 505, _) => ErrorKind::Invalid,
        // An error inside of a success is how S3 reports that it failed late.
        (200..=299 | 500..=599, _) => ErrorKind::Transient,
        _ => ErrorKind::Invalid,
    }
}

fn advice(error: &ServerError, kind: ErrorKind) -> Option<String> {
    let fixed = |text: &str| Some(text.to_owned());
    match (error.code.as_str(), error.status) {
        ("NoSuchBucket", _) => fixed("check the name of the bucket in WALG_S3_PREFIX, and AWS_ENDPOINT"),
        ("InvalidAccessKeyId", _) => fixed("check AWS_ACCESS_KEY_ID"),
        ("SignatureDoesNotMatch", _) => fixed("check AWS_SECRET_ACCESS_KEY and AWS_REGION"),
        ("ExpiredToken" | "InvalidToken", _) => fixed("check AWS_SESSION_TOKEN"),
        ("RequestTimeTooSkewed", _) => fixed("check the clock of this host"),
        ("InvalidStorageClass", _) => fixed("check S3_STORAGE_CLASS"),
        (_, 301 | 302 | 307 | 308) | ("AuthorizationHeaderMalformed" | "IllegalLocationConstraintException", _) => {
            match &error.region {
                Some(region) => Some(format!("the bucket is in another region: set AWS_REGION={region}")),
                None => fixed("check AWS_REGION and AWS_ENDPOINT"),
            }
        }
        _ if kind == ErrorKind::Denied => {
            fixed("check that these credentials may list the bucket and read, write and delete its objects")
        }
        _ => None,
    }
}

/// An error with its causes, without those that only repeat what was said before.
pub(super) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(current) = cause {
        let next = current.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = current.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16, body: &str) -> Failure {
        of_server(&ServerError::parse(status, body, None))
    }

    fn coded(status: u16, code: &str) -> Failure {
        failure(status, &format!("<Error><Code>{code}</Code><Message>m</Message></Error>"))
    }

    #[test]
    fn permanent_failures_say_what_to_check() {
        for (status, code, kind, advice) in [
            (403, "InvalidAccessKeyId", ErrorKind::Denied, "AWS_ACCESS_KEY_ID"),
            (403, "SignatureDoesNotMatch", ErrorKind::Denied, "AWS_SECRET_ACCESS_KEY"),
            (403, "AccessDenied", ErrorKind::Denied, "credentials"),
            (403, "", ErrorKind::Denied, "credentials"),
            (400, "ExpiredToken", ErrorKind::Denied, "AWS_SESSION_TOKEN"),
            (404, "NoSuchBucket", ErrorKind::Invalid, "WALG_S3_PREFIX"),
            (301, "PermanentRedirect", ErrorKind::Invalid, "AWS_REGION"),
            (400, "InvalidStorageClass", ErrorKind::Invalid, "S3_STORAGE_CLASS"),
            (507, "XMinioStorageFull", ErrorKind::NoSpace, ""),
        ] {
            let failure = coded(status, code);
            assert_eq!(failure.kind, kind, "{code}");
            assert!(failure.reason.contains(advice), "{}", failure.reason);
        }
        let moved = failure(400, "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-3</Region></Error>");
        assert!(moved.reason.contains("AWS_REGION=eu-west-3"), "{}", moved.reason);
    }

    #[test]
    fn transient_failures_are_tried_again() {
        for (status, code, throttled) in [
            (503, "SlowDown", true),
            (429, "", true),
            (500, "InternalError", false),
            (502, "", false),
            (409, "OperationAborted", false),
            (499, "", false),
            (400, "RequestTimeout", false),
            (200, "InternalError", false),
            (200, "SlowDown", true),
        ] {
            let failure = coded(status, code);
            assert_eq!((failure.kind, failure.throttled), (ErrorKind::Transient, throttled), "{status} {code}");
        }
    }
}
