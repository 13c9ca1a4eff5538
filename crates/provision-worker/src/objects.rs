//! The object storage of backups, as the configuration says.

use std::sync::Arc;

use anyhow::Context as _;
use integrations::{
    Clock,
    objects::{FolderStore, ObjectStore, S3Config, S3Store},
};
use runtime::config::{ObjectsKind, ObjectsSection};
use secrecy::ExposeSecret as _;

/// Opens it. A folder is made when it is missing; zpack-api serves it to agents.
pub fn open(section: &ObjectsSection, clock: Clock) -> anyhow::Result<Arc<dyn ObjectStore>> {
    Ok(match section.kind {
        ObjectsKind::Folder => {
            let key = section.key.expose_secret().as_bytes();
            let store = FolderStore::open(&section.folder, &section.base_url, key, clock);
            Arc::new(store.with_context(|| format!("objects.folder {}", section.folder.display()))?)
        }
        ObjectsKind::S3 => {
            let config = S3Config {
                endpoint: section.endpoint.clone(),
                region: section.region.clone(),
                bucket: section.bucket.clone(),
                access_key_id: section.access_key_id.clone(),
                path_style: section.path_style,
            };
            Arc::new(S3Store::new(&config, section.secret_access_key.expose_secret()).context("objects")?)
        }
    })
}
