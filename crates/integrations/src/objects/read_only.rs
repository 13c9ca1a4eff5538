//! A storage that can be looked at and not changed.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{
    ByteRange, ListedObject, ObjectBody, ObjectError, ObjectInfo, ObjectStore, UploadId, UploadedPart,
};

/// Passes looks on and refuses everything else, addresses for uploads included.
#[derive(Clone, Debug)]
pub struct ReadOnlyObjects(pub Arc<dyn ObjectStore>);

#[async_trait]
impl ObjectStore for ReadOnlyObjects {
    async fn begin_upload(&self, _: &str) -> Result<UploadId, ObjectError> {
        Err(ObjectError::ReadOnly("begin_upload"))
    }

    fn part_url(&self, _: &str, _: &UploadId, _: u32, _: Duration) -> Result<String, ObjectError> {
        Err(ObjectError::ReadOnly("part_url"))
    }

    async fn complete(&self, _: &str, _: &UploadId, _: &[UploadedPart]) -> Result<(), ObjectError> {
        Err(ObjectError::ReadOnly("complete"))
    }

    async fn abort(&self, _: &str, _: &UploadId) -> Result<(), ObjectError> {
        Err(ObjectError::ReadOnly("abort"))
    }

    fn put_url(&self, _: &str, _: Duration) -> Result<String, ObjectError> {
        Err(ObjectError::ReadOnly("put_url"))
    }

    fn get_url(&self, key: &str, expires: Duration) -> Result<String, ObjectError> {
        self.0.get_url(key, expires)
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, ObjectError> {
        self.0.head(key).await
    }

    async fn get(&self, key: &str, limit: usize) -> Result<Option<Vec<u8>>, ObjectError> {
        self.0.get(key, limit).await
    }

    async fn get_stream(
        &self,
        key: &str,
        range: Option<ByteRange>,
    ) -> Result<Option<ObjectBody>, ObjectError> {
        self.0.get_stream(key, range).await
    }

    async fn delete(&self, _: &str) -> Result<(), ObjectError> {
        Err(ObjectError::ReadOnly("delete"))
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ListedObject>, ObjectError> {
        self.0.list(prefix, after, limit).await
    }
}
