//! What can be ordered: blueprints and plans from files, versions from the files or the artifact source.

mod load;
mod order;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::{
    blueprint::{Blueprint, Variant, newest_first},
    plan::Plan,
};
use integrations::artifacts::{ArtifactError, ArtifactSource};
use store::{Db, StoreError};
use tokio::sync::OnceCell;

pub use order::{Order, OrderError, OrderRequest};

/// Blueprints and plans, as they were at start.
pub struct Catalogue {
    entries: Vec<Entry>,
    plans: Vec<Plan>,
    artifacts: Arc<dyn ArtifactSource>,
}

/// A blueprint, and whether its content is in the database.
struct Entry {
    blueprint: Blueprint,
    content_version: String,
    recorded: OnceCell<()>,
}

impl Catalogue {
    /// Every blueprint, by id.
    pub fn blueprints(&self) -> impl Iterator<Item = &Blueprint> {
        self.entries.iter().map(|entry| &entry.blueprint)
    }

    /// Every plan, in the file's order.
    pub fn plans(&self) -> &[Plan] {
        &self.plans
    }

    /// The blueprint with this id.
    pub fn blueprint(&self, id: &str) -> Option<&Blueprint> {
        self.blueprints().find(|blueprint| blueprint.id == id)
    }

    /// The plan with this id.
    pub fn plan(&self, id: &str) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.id == id)
    }

    /// A variant's versions, newest first: the file's own, or those that the artifact source has.
    pub async fn versions(
        &self,
        blueprint: &Blueprint,
        variant: &Variant,
    ) -> Result<Vec<String>, ArtifactError> {
        if !variant.versions.is_empty() {
            return Ok(variant.versions.clone());
        }
        let catalog = self.artifacts.catalog().await?;
        let mut versions = catalog.versions(&blueprint.id, &variant.id).unwrap_or_default().to_vec();
        versions.sort_by(|a, b| newest_first(a, b));
        Ok(versions)
    }

    /// The name of a blueprint's content, which is in the database when this returns: an instance refers to it.
    pub async fn recorded_version(
        &self,
        db: &Db,
        blueprint: &Blueprint,
        now: DateTime<Utc>,
    ) -> Result<&str, StoreError> {
        let entry = self.entries.iter().find(|entry| entry.blueprint.id == blueprint.id);
        let Some(entry) = entry else {
            return Err(StoreError::Corrupt {
                table: "blueprint_versions",
                what: "not of this catalogue".into(),
            });
        };
        entry.recorded.get_or_try_init(|| store::blueprints::record(db, &entry.blueprint, now)).await?;
        Ok(&entry.content_version)
    }
}
