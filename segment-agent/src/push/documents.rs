//! The documents of a finished backup, in the order that keeps the old truth until the new one is whole: the marks of what a
//! permanent delta is based on, metadata, then the manifest, then the sentinel.

use std::io::BufWriter;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use formats::files::DatabasesByNames;
use formats::segment::{ExtendedMetadata, SegmentSentinel};
use formats::wire::PushedSegment;
use formats::{DATE_FORMAT, layout};

use super::begin::Begun;
use super::catalog::Catalog;
use super::part::Packing;
use super::{Ended, PushRequest};
use crate::bridge::{ObjectWriter, on_worker};
use crate::error::{Error, Result, from_io};
use crate::mark;

pub async fn store(
    packing: &Arc<Packing>,
    request: &PushRequest,
    begun: &Begun,
    ended: &Ended,
    names: DatabasesByNames,
) -> Result<PushedSegment> {
    let repository = &packing.repository;
    if let (Some(base), true) = (packing.routes.base(), request.permanent) {
        mark::mark(repository, &base.name, true).await?;
    }
    let pushed = packing.pushed(request, begun, ended);
    let sentinel = sentinel(packing, request, begun, ended, &pushed);
    repository.put_json(&layout::metadata_key(&begun.backup), &metadata(&sentinel)).await?;
    let mut catalog = take_catalog(packing)?;
    let (ao_key, pax_key) =
        (layout::ao_files_metadata_key(&begun.backup), layout::pax_files_metadata_key(&begun.backup));
    let (ao_files, pax_files) = packing.shared.take_documents();
    catalog.add_object(&ao_key, repository.put_json(&ao_key, &ao_files).await?);
    catalog.add_object(&pax_key, repository.put_json(&pax_key, &pax_files).await?);
    let manifest = store_files_metadata(packing.clone(), catalog, names).await?;
    repository.store().put(&layout::manifest_key(&begun.backup), Bytes::from(manifest)).await?;
    if packing.cancel.is_cancelled() {
        return Err(Error::Cancelled);
    }
    repository.put_json(&layout::sentinel_key(&begun.backup), &sentinel).await?;
    Ok(pushed)
}

/// The workers are done with it.
fn take_catalog(packing: &Packing) -> Result<Catalog> {
    let empty = Catalog::new(&packing.backup, &packing.repository.cipher)?;
    Ok(std::mem::replace(&mut *packing.catalog.lock().unwrap_or_else(PoisonError::into_inner), empty))
}

/// Stores files_metadata.json and returns the encoded manifest, which knows every object that never changes: all but
/// metadata.json, which marking a backup rewrites, and the sentinel.
async fn store_files_metadata(packing: Arc<Packing>, mut catalog: Catalog, names: DatabasesByNames) -> Result<Vec<u8>> {
    on_worker(move || {
        let key = layout::files_metadata_key(&packing.backup);
        let object = ObjectWriter::start(&packing.driver, &packing.cancel, packing.repository.store(), &key)?;
        let broken = |error| from_io(error, |error| Error::damaged(&key, error));
        let out = catalog.write_files_metadata(BufWriter::with_capacity(1 << 20, object), &names).map_err(broken)?;
        let object = out.into_inner().map_err(|error| broken(error.into_error()))?;
        catalog.add_object(&key, object.finish()?);
        catalog.finish().map_err(|error| Error::damaged(layout::manifest_key(&packing.backup), error))
    })
    .await
}

fn sentinel(
    packing: &Packing,
    request: &PushRequest,
    begun: &Begun,
    ended: &Ended,
    pushed: &PushedSegment,
) -> SegmentSentinel {
    let tablespaces = &packing.queue.tablespaces;
    let user_data = request.user_data.clone().or_else(|| request.backup_id.as_ref().map(|id| id.user_data()));
    let base = packing.routes.base();
    SegmentSentinel {
        delta_lsn: base.map(|base| base.start_lsn),
        delta_from: base.map(|base| base.name.as_str().to_owned()),
        delta_full_name: base.map(|base| base.full_name.as_str().to_owned()),
        delta_count: base.map(|base| request.delta_count.unwrap_or(base.count.saturating_add(1))),
        start_lsn: Some(begun.started.start_lsn),
        pg_version: begun.version_num,
        finish_lsn: Some(ended.stopped.finish_lsn),
        system_identifier: begun.system_identifier,
        uncompressed_size: pushed.uncompressed_bytes,
        compressed_size: pushed.compressed_bytes,
        data_catalog_size: pushed.data_catalog_bytes,
        tablespaces: (!tablespaces.tablespaces.is_empty()).then(|| tablespaces.clone()),
        user_data,
        version: SegmentSentinel::VERSION,
        start_time: begun.start_time,
        finish_time: ended.finish_time,
        date_format: DATE_FORMAT.to_owned(),
        hostname: hostname(),
        data_dir: request.data_dir.to_string_lossy().into_owned(),
        is_permanent: request.permanent,
        ..SegmentSentinel::default()
    }
}

fn metadata(sentinel: &SegmentSentinel) -> ExtendedMetadata {
    ExtendedMetadata {
        start_time: sentinel.start_time,
        finish_time: sentinel.finish_time,
        date_format: sentinel.date_format.clone(),
        hostname: sentinel.hostname.clone(),
        data_dir: sentinel.data_dir.clone(),
        pg_version: sentinel.pg_version,
        start_lsn: sentinel.start_lsn.unwrap_or_default(),
        finish_lsn: sentinel.finish_lsn.unwrap_or_default(),
        is_permanent: sentinel.is_permanent,
        system_identifier: sentinel.system_identifier,
        uncompressed_size: sentinel.uncompressed_size,
        compressed_size: sentinel.compressed_size,
        user_data: sentinel.user_data.clone(),
    }
}

/// Name of this host, empty where the system cannot tell.
pub fn hostname() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}
