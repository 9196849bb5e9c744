//! Listing a bucket with own requests: object_store refuses a whole listing when one key is odd, this one skips the key.

use super::client::Client;
use super::failure::Failure;
use super::xml;
use crate::backend::Depth;
use crate::error::ErrorKind;
use crate::key;
use crate::object::{Listing, ObjectInfo, StaleUpload};
use crate::record::Operation;
use chrono::{DateTime, Utc};

/// All pages of one listing, or those before the first key that is not less than `end`. `folder` is a complete key, empty for
/// the bucket.
pub(super) async fn list(client: &Client, folder: &str, depth: Depth, end: Option<&str>) -> Result<Listing, Failure> {
    let prefix = key::prefix(folder);
    let position_name = if client.settings.list_objects_v1 { "marker" } else { "continuation-token" };
    let mut listing = Listing::default();
    let mut position: Option<String> = None;
    loop {
        let mut query = vec![("prefix", prefix.as_str())];
        if depth == Depth::One {
            query.push(("delimiter", "/"));
        }
        if !client.settings.list_objects_v1 {
            query.push(("list-type", "2"));
        }
        if let Some(position) = &position {
            query.push((position_name, position.as_str()));
        }
        let page = client.run(|| async { client.connection().await?.ask(&query).await }).await?;
        let next = read_page(&page, &mut listing)?;
        if next.is_some() && next == position {
            return Err(malformed("its pages repeat"));
        }
        position = next;
        let is_past = listing.objects.last().is_some_and(|last| end.is_some_and(|end| last.key.as_str() >= end));
        if position.is_none() || is_past {
            return Ok(listing);
        }
    }
}

/// Adds the objects and folders of a page; returns where the next one begins.
fn read_page(page: &str, listing: &mut Listing) -> Result<Option<String>, Failure> {
    let Some(is_truncated) = xml::text(page, "IsTruncated") else {
        return Err(malformed("it does not say whether it is complete"));
    };
    let mut last = None;
    for element in xml::elements(page, "Contents") {
        let Some(key) = xml::text(element, "Key") else { return Err(malformed("an object has no key")) };
        last = last.max(Some(key.clone()));
        if is_object(&key) {
            let size = xml::text(element, "Size").and_then(|text| text.parse().ok());
            let Some(size) = size else { return Err(malformed("an object has no size")) };
            listing.objects.push(ObjectInfo { key, size, modified: time(element, "LastModified") });
        }
    }
    for element in xml::elements(page, "CommonPrefixes") {
        let Some(prefix) = xml::text(element, "Prefix") else { continue };
        last = last.max(Some(prefix.clone()));
        if let Some(folder) = prefix.strip_suffix('/').filter(|folder| is_object(folder)) {
            listing.folders.push(folder.to_owned());
        }
    }
    if is_truncated != "true" {
        return Ok(None);
    }
    // The first version of the call names the next marker only when it was given a delimiter.
    let next = xml::text(page, "NextContinuationToken").or_else(|| xml::text(page, "NextMarker")).or(last);
    next.map(Some).ok_or_else(|| malformed("it is not complete and does not say where it goes on"))
}

/// Uploads that were begun and neither completed nor aborted.
pub(super) async fn list_uploads(client: &Client, folder: &str) -> Result<Vec<StaleUpload>, Failure> {
    let prefix = key::prefix(folder);
    let mut uploads = Vec::new();
    let mut markers: Option<(String, String)> = None;
    loop {
        let mut query = vec![("uploads", ""), ("prefix", prefix.as_str())];
        if let Some((key, id)) = &markers {
            query.extend([("key-marker", key.as_str()), ("upload-id-marker", id.as_str())]);
        }
        let page = client.run(|| async { client.connection().await?.ask(&query).await }).await?;
        for element in xml::elements(&page, "Upload") {
            if let (Some(key), Some(id)) = (xml::text(element, "Key"), xml::text(element, "UploadId"))
                && is_object(&key)
            {
                uploads.push(StaleUpload { key, id, started: time(element, "Initiated") });
            }
        }
        if xml::text(&page, "IsTruncated").as_deref() != Some("true") {
            return Ok(uploads);
        }
        let next = xml::text(&page, "NextKeyMarker").zip(xml::text(&page, "NextUploadIdMarker"));
        if next.is_none() || next == markers {
            return Err(malformed("it is not complete and does not say where it goes on"));
        }
        markers = next;
    }
}

/// Markers of folders end in a slash; other tools may have left keys that are no names here.
fn is_object(key: &str) -> bool {
    let usable = key::check(Operation::List, key, "").is_ok();
    if !usable && !key.ends_with('/') {
        tracing::debug!(key, "skipped: it cannot be an object");
    }
    usable
}

/// A missing or odd time is no reason to fail a listing.
fn time(element: &str, name: &str) -> DateTime<Utc> {
    let text = xml::text(element, name).unwrap_or_default();
    DateTime::parse_from_rfc3339(&text).map_or(DateTime::UNIX_EPOCH, |time| time.to_utc())
}

/// Another attempt may help: proxies are known to answer with pages of their own.
fn malformed(reason: &str) -> Failure {
    Failure::new(ErrorKind::Corrupt, format!("the listing is malformed: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_keys_are_skipped_and_the_rest_is_listed() {
        let page = "<ListBucketResult><IsTruncated>true</IsTruncated>\
            <NextContinuationToken>t</NextContinuationToken><Prefix>p/</Prefix>\
            <Contents><Key>p/</Key><Size>0</Size></Contents>\
            <Contents><Key>p/a//b</Key><Size>1</Size></Contents>\
            <Contents><Key>p/../x</Key><Size>1</Size></Contents>\
            <Contents><Key>p/c&#x1;</Key><Size>1</Size></Contents>\
            <Contents><Key>p/%25 ü</Key><Size>7</Size><LastModified>2024-01-02T03:04:05.006Z</LastModified></Contents>\
            <CommonPrefixes><Prefix>p/q/</Prefix></CommonPrefixes>\
            <CommonPrefixes><Prefix>p//</Prefix></CommonPrefixes></ListBucketResult>";
        let mut listing = Listing::default();
        assert_eq!(read_page(page, &mut listing).unwrap().as_deref(), Some("t"));
        assert_eq!(listing.objects.len(), 1);
        assert_eq!((listing.objects[0].key.as_str(), listing.objects[0].size), ("p/%25 ü", 7));
        assert_eq!(listing.objects[0].modified.to_rfc3339(), "2024-01-02T03:04:05.006+00:00");
        assert_eq!(listing.folders, ["p/q"]);
    }

    #[test]
    fn a_first_version_listing_goes_on_after_its_last_key() {
        let page = "<R><IsTruncated>true</IsTruncated><Contents><Key>a</Key><Size>1</Size></Contents>\
            <Contents><Key>b</Key><Size>1</Size></Contents></R>";
        assert_eq!(read_page(page, &mut Listing::default()).unwrap().as_deref(), Some("b"));
    }

    #[test]
    fn a_page_that_is_no_listing_is_an_error() {
        for page in ["", "<html>welcome</html>", "<R><IsTruncated>true</IsTruncated></R>"] {
            assert!(read_page(page, &mut Listing::default()).is_err(), "{page}");
        }
    }
}
