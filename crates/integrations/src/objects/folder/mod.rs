//! Objects in a folder of this machine, reached by agents through [`gateway`].
//!
//! `objects/` has finished objects under their keys. `uploads/{id}/` has an upload in the making: its parts lie in one
//! file, each at its place, so that completing is a rename and not a copy.

mod disk;
mod gateway;
mod put;
mod signature;

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{agent::BACKUP_PART_BYTES, clock::Clock};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncSeekExt as _},
    task::spawn_blocking,
};
use tokio_util::io::ReaderStream;
use uuid::Uuid;

pub use self::gateway::gateway;
use self::{
    disk::Disk,
    signature::{Signatures, Signed},
};
use super::{
    ByteRange, ListedObject, ObjectBody, ObjectError, ObjectInfo, ObjectStore, UploadId, UploadedPart,
    key::checked,
};

/// Shortest key for signatures, in bytes.
pub const MIN_KEY_BYTES: usize = 32;
/// Bytes read at once.
const CHUNK: usize = 256 * 1024;
/// Most objects of one listing.
pub(super) const MAX_LISTED: usize = 1_000;

/// A folder as object storage. Cheap to clone; several processes may use one folder.
#[derive(Clone, Debug)]
pub struct FolderStore {
    disk: Disk,
    base_url: Arc<str>,
    signatures: Signatures,
    part_bytes: u64,
    clock: Arc<dyn Clock>,
}

impl FolderStore {
    /// Opens `folder`, making it when it is missing. `base_url` is where agents reach the gateway; `key` signs
    /// addresses and has at least [`MIN_KEY_BYTES`]. Blocking.
    pub fn open(
        folder: &Path,
        base_url: &str,
        key: &[u8],
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ObjectError> {
        if key.len() < MIN_KEY_BYTES {
            return Err(ObjectError::Refused(format!("its key has fewer than {MIN_KEY_BYTES} bytes")));
        }
        Ok(Self {
            disk: Disk::open(folder).map_err(|error| disk_error(&error))?,
            base_url: base_url.trim_end_matches('/').into(),
            signatures: Signatures::new(key),
            part_bytes: BACKUP_PART_BYTES,
            clock,
        })
    }

    /// With parts of another size than [`BACKUP_PART_BYTES`]: for tests that do not want to move so much.
    #[must_use]
    pub fn with_part_bytes(self, part_bytes: u64) -> Self {
        Self { part_bytes, ..self }
    }

    fn now(&self) -> i64 {
        self.clock.now().timestamp()
    }

    fn url(
        &self,
        method: &str,
        key: &str,
        upload: Option<(&UploadId, u32)>,
        expires: Duration,
    ) -> Result<String, ObjectError> {
        let key = checked(key)?;
        let seconds = i64::try_from(expires.as_secs()).unwrap_or(i64::MAX);
        let expires = self.now().saturating_add(seconds);
        let (name, part) = upload.map_or(("", 0), |(upload, part)| (upload.0.as_str(), part));
        let signature = self.signatures.sign(&Signed { method, key, upload: name, part, expires });
        let which = upload.map_or(String::new(), |_| format!("upload={name}&part={part}&"));
        Ok(format!("{}/objects/{key}?{which}expires={expires}&signature={signature}", self.base_url))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Disk) -> Result<T, ObjectError> + Send + 'static,
    ) -> Result<T, ObjectError> {
        let disk = self.disk.clone();
        spawn_blocking(move || work(&disk))
            .await
            .unwrap_or_else(|error| Err(ObjectError::Unreachable(error.to_string())))
    }

    /// An open object with what is known of it.
    async fn open_object(&self, key: &str) -> Result<Option<(tokio::fs::File, ObjectInfo)>, ObjectError> {
        let key = checked(key)?.to_owned();
        let found =
            self.blocking(move |disk| disk.open_object(&key).map_err(|error| disk_error(&error))).await?;
        Ok(found.map(|(file, info)| (tokio::fs::File::from_std(file), info)))
    }
}

/// A disk's error: a full one can be mended, and so can most others.
pub(super) fn disk_error(error: &std::io::Error) -> ObjectError {
    ObjectError::Unreachable(error.to_string())
}

#[async_trait]
impl ObjectStore for FolderStore {
    async fn begin_upload(&self, key: &str) -> Result<UploadId, ObjectError> {
        let (key, id) = (checked(key)?.to_owned(), Uuid::now_v7().to_string());
        let named = id.clone();
        self.blocking(move |disk| disk.begin(&named, &key)).await?;
        Ok(UploadId(id))
    }

    fn part_url(
        &self,
        key: &str,
        upload: &UploadId,
        number: u32,
        expires: Duration,
    ) -> Result<String, ObjectError> {
        self.url("PUT", key, Some((upload, number)), expires)
    }

    async fn complete(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[UploadedPart],
    ) -> Result<(), ObjectError> {
        let (key, upload, parts) = (checked(key)?.to_owned(), upload.0.clone(), parts.to_vec());
        let part_bytes = self.part_bytes;
        self.blocking(move |disk| disk.complete(&key, &upload, &parts, part_bytes)).await
    }

    async fn abort(&self, key: &str, upload: &UploadId) -> Result<(), ObjectError> {
        let (key, upload) = (checked(key)?.to_owned(), upload.0.clone());
        self.blocking(move |disk| disk.abort(&key, &upload)).await
    }

    fn put_url(&self, key: &str, expires: Duration) -> Result<String, ObjectError> {
        self.url("PUT", key, None, expires)
    }

    fn get_url(&self, key: &str, expires: Duration) -> Result<String, ObjectError> {
        self.url("GET", key, None, expires)
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, ObjectError> {
        Ok(self.open_object(key).await?.map(|(_, info)| info))
    }

    async fn get(&self, key: &str, limit: usize) -> Result<Option<Vec<u8>>, ObjectError> {
        let Some((file, info)) = self.open_object(key).await? else { return Ok(None) };
        if info.bytes > limit as u64 {
            return Err(ObjectError::TooLong(limit));
        }
        let mut content = Vec::new();
        file.take(info.bytes).read_to_end(&mut content).await.map_err(|error| disk_error(&error))?;
        Ok(Some(content))
    }

    async fn get_stream(
        &self,
        key: &str,
        range: Option<ByteRange>,
    ) -> Result<Option<ObjectBody>, ObjectError> {
        let Some((mut file, info)) = self.open_object(key).await? else { return Ok(None) };
        let (first, end) = match range {
            None => (0, info.bytes),
            Some(range) if range.first >= info.bytes => return Err(ObjectError::Range(info.bytes)),
            Some(ByteRange { first, last }) => {
                (first, last.map_or(info.bytes, |last| last.saturating_add(1).min(info.bytes)).max(first))
            }
        };
        file.seek(std::io::SeekFrom::Start(first)).await.map_err(|error| disk_error(&error))?;
        let length = end - first;
        let stream = ReaderStream::with_capacity(file.take(length), CHUNK);
        let stream = stream.map_err(|error| disk_error(&error)).boxed();
        Ok(Some(ObjectBody { info, first, length, stream }))
    }

    async fn delete(&self, key: &str) -> Result<(), ObjectError> {
        let key = checked(key)?.to_owned();
        self.blocking(move |disk| disk.delete(&key).map_err(|error| disk_error(&error))).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ListedObject>, ObjectError> {
        let (prefix, after, limit) = (prefix.to_owned(), after.map(str::to_owned), limit.min(MAX_LISTED));
        self.blocking(move |disk| {
            disk.list(&prefix, after.as_deref(), limit).map_err(|error| disk_error(&error))
        })
        .await
    }
}
