//! Opening the object storage that an installation has.

use std::{path::Path, sync::Arc};

use domain::{clock::Clock, objects::ObjectStorage};
use secrecy::ExposeSecret as _;

use super::{FolderStore, ObjectError, ObjectStore, S3Store};

/// An installation's object storage.
#[derive(Clone, Debug)]
pub enum OpenStorage {
    /// A folder, which somebody has to serve to agents.
    Folder(FolderStore),
    /// A bucket.
    S3(S3Store),
}

impl OpenStorage {
    /// Opens it: a folder is made when it is missing, a bucket is not asked yet. Blocking.
    pub fn open(storage: &ObjectStorage, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        match storage {
            ObjectStorage::Folder { path, base_url, key } => {
                let store = FolderStore::open(path, base_url, key.expose_secret().as_bytes(), clock);
                store.map(Self::Folder).map_err(|source| OpenError { what: folder(path), source })
            }
            ObjectStorage::S3 { bucket, secret_access_key } => {
                let store = S3Store::new(bucket, secret_access_key.expose_secret());
                let what = format!("the bucket {}", bucket.bucket);
                store.map(Self::S3).map_err(|source| OpenError { what, source })
            }
        }
    }

    /// As a storage of objects.
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        match self {
            Self::Folder(store) => Arc::new(store.clone()),
            Self::S3(store) => Arc::new(store.clone()),
        }
    }
}

fn folder(path: &Path) -> String {
    format!("the folder {}", path.display())
}

/// Why a storage could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("{what} cannot be used as object storage (objects)")]
pub struct OpenError {
    what: String,
    #[source]
    source: ObjectError,
}
