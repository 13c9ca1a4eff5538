//! Object storage: where backups lie. Agents reach single objects by signed addresses and hold no credential.
//!
//! A big object is uploaded in parts. It exists once [`ObjectStore::complete`] has succeeded, and then as a whole:
//! nobody ever sees half an object.

mod error;
mod fake;
pub mod folder;
mod key;
mod open;
mod read_only;
mod s3;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use tokio_util::bytes::Bytes;

pub use self::{
    error::ObjectError,
    fake::FakeObjects,
    folder::FolderStore,
    open::{OpenError, OpenStorage},
    read_only::ReadOnlyObjects,
    s3::S3Store,
};
pub use domain::agent::UploadedPart;

/// Names an upload in the making. Opaque; kept in rows, so that anybody can go on with it or end it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UploadId(pub String);

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is known of an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its length.
    pub bytes: u64,
    /// Changes with its content; as the storage gives it, with quotes where it has them.
    pub etag: String,
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// Its key.
    pub key: String,
    /// Its length.
    pub bytes: u64,
}

/// A piece of an object: from byte `first` up to and including `last`, or to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte, from 0.
    pub first: u64,
    /// The last byte; beyond the end it means the end.
    pub last: Option<u64>,
}

/// An object, or a piece of it, as it arrives.
pub struct ObjectBody {
    /// The whole object's.
    pub info: ObjectInfo,
    /// Where the piece begins.
    pub first: u64,
    /// Its length in bytes; a stream that ends earlier has ended with an error.
    pub length: u64,
    /// The bytes.
    pub stream: BoxStream<'static, Result<Bytes, ObjectError>>,
}

impl fmt::Debug for ObjectBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { info, first, length, .. } = self;
        f.debug_struct("ObjectBody")
            .field("info", info)
            .field("first", first)
            .field("length", length)
            .finish()
    }
}

/// A storage for backups. Every method may be repeated.
#[async_trait]
pub trait ObjectStore: Send + Sync + fmt::Debug {
    /// Begins an upload in parts. Repeated, it begins another one.
    async fn begin_upload(&self, key: &str) -> Result<UploadId, ObjectError>;

    /// Where a part is PUT to. Parts are counted from 1; all but the last have
    /// [`BACKUP_PART_BYTES`](domain::agent::BACKUP_PART_BYTES). The storage answers a PUT with the part's `ETag`.
    fn part_url(
        &self,
        key: &str,
        upload: &UploadId,
        number: u32,
        expires: Duration,
    ) -> Result<String, ObjectError>;

    /// Makes the object of its parts. Succeeds as well when that was done before.
    async fn complete(&self, key: &str, upload: &UploadId, parts: &[UploadedPart])
    -> Result<(), ObjectError>;

    /// Throws an upload's parts away; a no-op when there is no such upload, and for one that was completed.
    async fn abort(&self, key: &str, upload: &UploadId) -> Result<(), ObjectError>;

    /// Where a whole small object is PUT to.
    fn put_url(&self, key: &str, expires: Duration) -> Result<String, ObjectError>;

    /// Where an object is read from.
    fn get_url(&self, key: &str, expires: Duration) -> Result<String, ObjectError>;

    /// What is known of an object; `None` when there is none.
    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, ObjectError>;

    /// A whole object of at most `limit` bytes; `None` when there is none.
    async fn get(&self, key: &str, limit: usize) -> Result<Option<Vec<u8>>, ObjectError>;

    /// An object as a stream, or a piece of it; `None` when there is none. A range that begins behind the end is
    /// [`ObjectError::Range`].
    async fn get_stream(
        &self,
        key: &str,
        range: Option<ByteRange>,
    ) -> Result<Option<ObjectBody>, ObjectError>;

    /// Deletes an object; a no-op when there is none.
    async fn delete(&self, key: &str) -> Result<(), ObjectError>;

    /// Objects whose keys begin with `prefix` and come after `after`, in the order of their keys' bytes, at most
    /// `limit` (itself at most 1,000).
    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ListedObject>, ObjectError>;
}
