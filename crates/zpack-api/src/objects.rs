//! The object storage of backups, and, where it is a folder, its gateway for agents.

use std::sync::Arc;

use anyhow::Context as _;
use integrations::{
    Clock,
    objects::{
        ObjectStore, S3Config, S3Store,
        folder::{FolderStore, gateway},
    },
};
use runtime::config::{ObjectsKind, ObjectsSection};
use secrecy::ExposeSecret as _;

use crate::http::Server;

/// Connections of agents at the same time: each uploads or downloads one backup.
const MAX_CONNECTIONS: usize = 512;

/// What `[objects]` says.
pub enum Storage {
    /// A folder that this daemon serves.
    Folder(FolderStore),
    /// A bucket.
    S3(S3Store),
}

impl Storage {
    /// Opens it. A folder is made when it is missing.
    pub fn open(section: &ObjectsSection, clock: Clock) -> anyhow::Result<Self> {
        Ok(match section.kind {
            ObjectsKind::Folder => {
                let key = section.key.expose_secret().as_bytes();
                let store = FolderStore::open(&section.folder, &section.base_url, key, clock);
                Self::Folder(store.with_context(|| format!("objects.folder {}", section.folder.display()))?)
            }
            ObjectsKind::S3 => {
                let config = S3Config {
                    endpoint: section.endpoint.clone(),
                    region: section.region.clone(),
                    bucket: section.bucket.clone(),
                    access_key_id: section.access_key_id.clone(),
                    path_style: section.path_style,
                };
                Self::S3(S3Store::new(&config, section.secret_access_key.expose_secret()).context("objects")?)
            }
        })
    }

    /// As handlers see it.
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        match self {
            Self::Folder(store) => Arc::new(store.clone()),
            Self::S3(store) => Arc::new(store.clone()),
        }
    }

    /// Listens for agents, if there is anything to serve.
    pub fn listen(&self, section: &ObjectsSection) -> anyhow::Result<Option<(Server, axum::Router)>> {
        let Self::Folder(store) = self else { return Ok(None) };
        let server = Server::bind(section.listen, MAX_CONNECTIONS)
            .with_context(|| format!("cannot listen on {} (objects.listen)", section.listen))?;
        Ok(Some((server, gateway(store.clone()))))
    }
}
