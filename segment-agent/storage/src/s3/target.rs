//! The requests that write one object, each with its attempts.

use super::client::Client;
use super::failure::Failure;
use crate::error::ErrorKind;
use crate::record::Operation;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{Attribute, Attributes, ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload};
use std::sync::Arc;

/// The object to be.
pub(super) struct Target {
    pub(super) client: Arc<Client>,
    pub(super) path: Path,
    pub(super) location: String,
}

impl Target {
    pub(super) async fn put(&self, payload: PutPayload) -> Result<(), Failure> {
        let attempt = || async {
            let options = PutOptions { attributes: self.attributes(), ..PutOptions::default() };
            self.client.connection().await?.bucket.put_opts(&self.path, payload.clone(), options).await?;
            Ok(())
        };
        self.client.run(attempt).await
    }

    pub(super) async fn begin(&self) -> Result<String, Failure> {
        let attempt = || async {
            let options = PutMultipartOptions { attributes: self.attributes(), ..PutMultipartOptions::default() };
            Ok(self.client.connection().await?.bucket.create_multipart_opts(&self.path, options).await?)
        };
        self.client.run(attempt).await
    }

    pub(super) async fn put_part(&self, id: &String, index: usize, payload: PutPayload) -> Result<PartId, Failure> {
        let attempt = || async {
            Ok(self.client.connection().await?.bucket.put_part(&self.path, id, index, payload.clone()).await?)
        };
        self.client.run(attempt).await
    }

    pub(super) async fn complete(&self, id: &String, parts: &[PartId], total_bytes: u64) -> Result<(), Failure> {
        let attempt = || async {
            self.client.connection().await?.bucket.complete_multipart(&self.path, id, parts.to_vec()).await?;
            Ok(())
        };
        match self.client.run(attempt).await {
            // An earlier attempt may have worked and only its answer was lost.
            Err(failure) if failure.code == "NoSuchUpload" => {
                let attempt = || async { Ok(self.client.connection().await?.bucket.head(&self.path).await?) };
                match self.client.run(attempt).await {
                    Ok(meta) if meta.size == total_bytes => Ok(()),
                    _ => Err(failure),
                }
            }
            other => other,
        }
    }

    /// An upload that is gone already is no error.
    pub(super) async fn abort(&self, id: &String) -> Result<(), Failure> {
        let attempt = || async {
            self.client.connection().await?.bucket.abort_multipart(&self.path, id).await?;
            Ok(())
        };
        match self.client.run(attempt).await {
            Err(failure) if failure.code == "NoSuchUpload" || failure.kind == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn attributes(&self) -> Attributes {
        let mut attributes = Attributes::new();
        if let Some(class) = &self.client.settings.storage_class {
            attributes.insert(Attribute::StorageClass, class.clone().into());
        }
        attributes
    }

    pub(super) fn error(&self, failure: Failure, operation: Operation) -> crate::Error {
        failure.into_error(operation, self.location.clone())
    }
}
