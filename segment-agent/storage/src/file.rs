//! A storage in a directory.

use crate::backend::{Backend, Body, Depth, Sink};
use crate::error::Result;
use crate::object::{Listing, ObjectInfo, StaleUpload};
use async_trait::async_trait;
use bytes::Bytes;

#[derive(Debug)]
pub(crate) struct FileBackend;

impl FileBackend {
    pub(crate) fn open(_root: &std::path::Path) -> Result<FileBackend> {
        todo!()
    }
}

#[async_trait]
impl Backend for FileBackend {
    fn locate(&self, _key: &str) -> String {
        todo!()
    }
    fn is_local(&self) -> bool {
        false
    }
    async fn put(&self, _key: &str, _body: Bytes) -> Result<()> {
        todo!()
    }
    async fn read(&self, _key: &str) -> Result<Box<dyn Body>> {
        todo!()
    }
    async fn upload(&self, _key: &str, _expected_bytes: Option<u64>) -> Result<Box<dyn Sink>> {
        todo!()
    }
    async fn head(&self, _key: &str) -> Result<Option<ObjectInfo>> {
        todo!()
    }
    async fn list(&self, _folder: &str, _depth: Depth) -> Result<Listing> {
        todo!()
    }
    async fn delete(&self, _keys: &[String]) -> Result<()> {
        todo!()
    }
    async fn stale_uploads(&self, _folder: &str) -> Result<Vec<StaleUpload>> {
        todo!()
    }
    async fn abort_stale_upload(&self, _upload: &StaleUpload) -> Result<()> {
        todo!()
    }
}
