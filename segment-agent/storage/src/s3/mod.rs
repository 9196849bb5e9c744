//! A storage in an S3 bucket.
//!
//! `client` holds the connection and the loop of attempts, `transport` the HTTP below it, `failure` decides what a
//! failed request means, `list`, `body` and `upload` are the operations that take more than one request.
//! What a crash of this process leaves behind is an unfinished multipart upload: see `Store::abort_stale_uploads`.

mod address;
mod body;
mod client;
mod credentials;
mod failure;
mod list;
mod settings;
mod target;
mod transport;
mod upload;
mod xml;

pub use settings::{S3Credentials, S3Settings, Secret, ServerSideEncryption};

use crate::backend::{Backend, Body, Depth, Sink};
use crate::error::{Error, ErrorKind, Result};
use crate::object::{Listing, ObjectInfo, StaleUpload};
use crate::record::Operation;
use async_trait::async_trait;
use body::S3Body;
use bytes::Bytes;
use client::Client;
use failure::Failure;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use std::sync::Arc;
use target::Target;
use upload::S3Sink;

#[derive(Debug)]
pub(crate) struct S3Backend {
    client: Arc<Client>,
}

impl S3Backend {
    pub(crate) fn open(settings: &S3Settings) -> Result<S3Backend> {
        Ok(S3Backend { client: Arc::new(Client::new(settings.clone())?) })
    }

    fn path(&self, operation: Operation, key: &str) -> Result<Path> {
        Path::parse(key).map_err(|error| Error::new(ErrorKind::Invalid, operation, self.locate(key), error.to_string()))
    }

    fn target(&self, operation: Operation, key: &str) -> Result<Target> {
        Ok(Target { client: self.client.clone(), path: self.path(operation, key)?, location: self.locate(key) })
    }

    fn error(&self, operation: Operation, key: &str, failure: Failure) -> Error {
        failure.into_error(operation, self.locate(key))
    }

    async fn delete_batch(&self, batch: &[Path]) -> Result<(), Failure> {
        let attempt = || async {
            let bucket = &self.client.connection().await?.bucket;
            match batch {
                [one] => bucket.delete(one).await?,
                _ => {
                    let paths: Vec<_> = batch.iter().cloned().map(Ok).collect();
                    bucket
                        .delete_stream(Box::pin(futures::stream::iter(paths)))
                        .try_for_each(|_| async { Ok(()) })
                        .await?;
                }
            }
            Ok(())
        };
        match self.client.run(attempt).await {
            Err(failure) if failure.kind == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

#[async_trait]
impl Backend for S3Backend {
    fn locate(&self, key: &str) -> String {
        let bucket = &self.client.settings.bucket;
        if key.is_empty() { format!("s3://{bucket}") } else { format!("s3://{bucket}/{key}") }
    }

    fn is_local(&self) -> bool {
        false
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        let target = self.target(Operation::Put, key)?;
        if body.len() as u64 <= self.client.settings.part_size_bytes {
            return target.put(body.into()).await.map_err(|failure| self.error(Operation::Put, key, failure));
        }
        let mut sink = self.upload(key, Some(body.len() as u64)).await?;
        sink.write(body).await?;
        sink.finish().await
    }

    async fn read(&self, key: &str) -> Result<Box<dyn Body>> {
        let path = self.path(Operation::Read, key)?;
        match S3Body::open(self.client.clone(), path, self.locate(key)).await {
            Ok(body) => Ok(Box::new(body)),
            Err(failure) => Err(self.error(Operation::Read, key, failure)),
        }
    }

    async fn upload(&self, key: &str, expected_bytes: Option<u64>) -> Result<Box<dyn Sink>> {
        match S3Sink::new(self.target(Operation::Upload, key)?, expected_bytes) {
            Ok(sink) => Ok(Box::new(sink)),
            Err(failure) => Err(self.error(Operation::Upload, key, failure)),
        }
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        let path = self.path(Operation::Head, key)?;
        let attempt = || async { Ok(self.client.connection().await?.bucket.head(&path).await?) };
        match self.client.run(attempt).await {
            Ok(meta) => Ok(Some(ObjectInfo { key: key.to_owned(), size: meta.size, modified: meta.last_modified })),
            Err(failure) if failure.kind == ErrorKind::NotFound => Ok(None),
            Err(failure) => Err(self.error(Operation::Head, key, failure)),
        }
    }

    async fn list(&self, folder: &str, depth: Depth, end: Option<&str>) -> Result<Listing> {
        let listed = list::list(&self.client, folder, depth, end).await;
        listed.map_err(|failure| self.error(Operation::List, folder, failure))
    }

    async fn delete(&self, keys: &[String]) -> Result<()> {
        for batch in keys.chunks(self.client.settings.delete_batch_size.max(1)) {
            let paths: Result<Vec<Path>> = batch.iter().map(|key| self.path(Operation::Delete, key)).collect();
            self.delete_batch(&paths?).await.map_err(|failure| self.error(Operation::Delete, &batch[0], failure))?;
        }
        Ok(())
    }

    async fn stale_uploads(&self, folder: &str) -> Result<Vec<StaleUpload>> {
        let listed = list::list_uploads(&self.client, folder).await;
        listed.map_err(|failure| self.error(Operation::List, folder, failure))
    }

    async fn abort_stale_upload(&self, upload: &StaleUpload) -> Result<()> {
        let target = self.target(Operation::Abort, &upload.key)?;
        target.abort(&upload.id).await.map_err(|failure| self.error(Operation::Abort, &upload.key, failure))
    }
}
