//! A storage in memory.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use tokio_util::bytes::Bytes;
use uuid::Uuid;

use super::{
    ByteRange, ListedObject, ObjectBody, ObjectError, ObjectInfo, ObjectStore, UploadId, UploadedPart,
    key::checked,
};
use crate::scenario::{Scenario, lock};

/// A recording fake. Its addresses lead nowhere; what agents would upload is given to [`FakeObjects::put`].
#[derive(Debug, Default)]
pub struct FakeObjects {
    /// What goes wrong, and what was called.
    pub scenario: Scenario,
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    uploads: Mutex<BTreeMap<String, String>>,
}

impl FakeObjects {
    /// Puts an object there, as an agent's upload would.
    pub fn put(&self, key: &str, content: impl Into<Vec<u8>>) {
        lock(&self.objects).insert(key.to_owned(), content.into());
    }

    /// Every key that has an object.
    pub fn keys(&self) -> Vec<String> {
        lock(&self.objects).keys().cloned().collect()
    }

    /// Uploads that were begun and neither completed nor aborted.
    pub fn open_uploads(&self) -> usize {
        lock(&self.uploads).len()
    }

    fn content(&self, key: &str) -> Option<Vec<u8>> {
        lock(&self.objects).get(key).cloned()
    }
}

fn injected() -> ObjectError {
    ObjectError::Unreachable("the scenario says so".into())
}

fn info(content: &[u8]) -> ObjectInfo {
    let digest = ring::digest::digest(&ring::digest::SHA256, content);
    ObjectInfo { bytes: content.len() as u64, etag: format!("\"{}\"", hex::encode(digest)) }
}

/// The piece of `content` that a range names: its beginning and its bytes.
fn piece(content: &[u8], range: Option<ByteRange>) -> Result<(u64, Vec<u8>), ObjectError> {
    let Some(range) = range else { return Ok((0, content.to_vec())) };
    let length = content.len() as u64;
    if range.first >= length {
        return Err(ObjectError::Range(length));
    }
    let end = range.last.map_or(length, |last| last.saturating_add(1).min(length));
    let at = |position: u64| usize::try_from(position).unwrap_or(usize::MAX);
    Ok((range.first, content.get(at(range.first)..at(end)).unwrap_or_default().to_vec()))
}

#[async_trait]
impl ObjectStore for FakeObjects {
    async fn begin_upload(&self, key: &str) -> Result<UploadId, ObjectError> {
        checked(key)?;
        let work = || {
            let id = Uuid::now_v7().to_string();
            lock(&self.uploads).insert(id.clone(), key.to_owned());
            Ok(UploadId(id))
        };
        self.scenario.play("begin_upload", key, injected, work).await
    }

    fn part_url(
        &self,
        key: &str,
        upload: &UploadId,
        number: u32,
        _: Duration,
    ) -> Result<String, ObjectError> {
        Ok(format!("http://objects.invalid/{}?upload={upload}&part={number}", checked(key)?))
    }

    /// The object has zeros: as many as the parts have bytes.
    async fn complete(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[UploadedPart],
    ) -> Result<(), ObjectError> {
        let work = || {
            let bytes = parts.iter().map(|part| usize::try_from(part.bytes).unwrap_or(usize::MAX)).sum();
            let known = lock(&self.uploads).remove(&upload.0).is_some();
            if !known && self.content(key).is_none_or(|content| content.len() != bytes) {
                return Err(ObjectError::Incomplete("there is no such upload".into()));
            }
            lock(&self.objects).entry(key.to_owned()).or_insert_with(|| vec![0; bytes]);
            Ok(())
        };
        self.scenario.play("complete", key, injected, work).await
    }

    async fn abort(&self, key: &str, upload: &UploadId) -> Result<(), ObjectError> {
        let work = || {
            lock(&self.uploads).remove(&upload.0);
            Ok(())
        };
        self.scenario.play("abort", key, injected, work).await
    }

    fn put_url(&self, key: &str, _: Duration) -> Result<String, ObjectError> {
        Ok(format!("http://objects.invalid/{}", checked(key)?))
    }

    fn get_url(&self, key: &str, _: Duration) -> Result<String, ObjectError> {
        Ok(format!("http://objects.invalid/{}", checked(key)?))
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, ObjectError> {
        let work = || Ok(self.content(key).map(|content| info(&content)));
        self.scenario.play("head", key, injected, work).await
    }

    async fn get(&self, key: &str, limit: usize) -> Result<Option<Vec<u8>>, ObjectError> {
        let work = || match self.content(key) {
            Some(content) if content.len() > limit => Err(ObjectError::TooLong(limit)),
            content => Ok(content),
        };
        self.scenario.play("get", key, injected, work).await
    }

    async fn get_stream(
        &self,
        key: &str,
        range: Option<ByteRange>,
    ) -> Result<Option<ObjectBody>, ObjectError> {
        let work = || {
            let Some(content) = self.content(key) else { return Ok(None) };
            let (first, bytes) = piece(&content, range)?;
            let length = bytes.len() as u64;
            let stream = stream::iter([Ok(Bytes::from(bytes))]).boxed();
            Ok(Some(ObjectBody { info: info(&content), first, length, stream }))
        };
        self.scenario.play("get_stream", key, injected, work).await
    }

    async fn delete(&self, key: &str) -> Result<(), ObjectError> {
        let work = || {
            lock(&self.objects).remove(key);
            Ok(())
        };
        self.scenario.play("delete", key, injected, work).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ListedObject>, ObjectError> {
        let work = || {
            let objects = lock(&self.objects);
            let listed = |(key, content): (&String, &Vec<u8>)| ListedObject {
                key: key.clone(),
                bytes: content.len() as u64,
            };
            let wanted = objects
                .iter()
                .filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after));
            Ok(wanted.take(limit).map(listed).collect())
        };
        self.scenario.play("list", prefix, injected, work).await
    }
}
