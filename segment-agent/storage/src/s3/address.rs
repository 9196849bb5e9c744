//! The URL of a bucket: Amazon's or a custom endpoint's, with the bucket in the path or in the host name.

use super::settings::S3Settings;
use std::net::IpAddr;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// As object_store wants it: with the bucket in the host name when that is how it is asked for, else without.
    pub endpoint: String,
    pub bucket_in_host: bool,
    /// The URL of the bucket itself, without a trailing slash.
    pub bucket_url: String,
}

impl Address {
    pub(super) fn new(settings: &S3Settings, region: &str) -> Address {
        let endpoint = settings.endpoint.clone().unwrap_or_else(|| amazon(region, settings.dual_stack));
        let endpoint = endpoint.trim_end_matches('/');
        let (scheme, rest) = endpoint.split_once("://").unwrap_or(("https", endpoint));
        let bucket = &settings.bucket;
        if settings.force_path_style || !may_be_in_host(bucket, scheme) || is_path_only(rest) {
            let bucket_url = format!("{scheme}://{rest}/{bucket}");
            return Address { endpoint: format!("{scheme}://{rest}"), bucket_in_host: false, bucket_url };
        }
        let url = format!("{scheme}://{bucket}.{rest}");
        Address { endpoint: url.clone(), bucket_in_host: true, bucket_url: url }
    }
}

fn amazon(region: &str, dual_stack: bool) -> String {
    let stack = if dual_stack { "dualstack." } else { "" };
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://s3.{stack}{region}.amazonaws.com{suffix}")
}

/// A bucket whose name is no DNS label has no host name of its own, and one with dots has no certificate.
fn may_be_in_host(bucket: &str, scheme: &str) -> bool {
    let is_dns = bucket.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'));
    is_dns && !(scheme == "https" && bucket.contains('.'))
}

/// Addresses and `localhost` have no sub domains.
fn is_path_only(rest: &str) -> bool {
    let authority = rest.split('/').next().unwrap_or(rest);
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or(v6),
        None => authority.split(':').next().unwrap_or(authority),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(bucket: &str, endpoint: Option<&str>, region: &str) -> String {
        let settings = S3Settings { endpoint: endpoint.map(str::to_owned), ..S3Settings::new(bucket, "") };
        Address::new(&settings, region).bucket_url
    }

    #[test]
    fn buckets_are_addressed_as_their_endpoint_allows() {
        for (bucket, endpoint, region, wanted) in [
            ("b", None, "eu-west-1", "https://b.s3.eu-west-1.amazonaws.com"),
            ("b", None, "cn-north-1", "https://b.s3.cn-north-1.amazonaws.com.cn"),
            ("b.c", None, "eu-west-1", "https://s3.eu-west-1.amazonaws.com/b.c"),
            ("B_1", None, "us-east-1", "https://s3.us-east-1.amazonaws.com/B_1"),
            ("b", Some("https://minio.example.org:9000/"), "x", "https://b.minio.example.org:9000"),
            ("b", Some("http://127.0.0.1:9000"), "x", "http://127.0.0.1:9000/b"),
            ("b", Some("http://[::1]:9000"), "x", "http://[::1]:9000/b"),
            ("b", Some("http://localhost:9000"), "x", "http://localhost:9000/b"),
            ("b.c", Some("http://minio.example.org"), "x", "http://b.c.minio.example.org"),
        ] {
            assert_eq!(url(bucket, endpoint, region), wanted);
        }
        let forced = S3Settings { force_path_style: true, dual_stack: true, ..S3Settings::new("b", "") };
        assert_eq!(Address::new(&forced, "eu-west-1").bucket_url, "https://s3.dualstack.eu-west-1.amazonaws.com/b");
    }
}
