//! An artifact source in memory.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;

use super::{ArtifactError, ArtifactSource, Catalog, CatalogGame, CatalogVariant, Manifest, path::checked};
use crate::scenario::{Scenario, lock};

type Key = (String, String, String);

/// A recording fake.
#[derive(Debug, Default)]
pub struct FakeArtifacts {
    /// What goes wrong, and what was called.
    pub scenario: Scenario,
    versions: Mutex<BTreeMap<Key, Manifest>>,
}

impl FakeArtifacts {
    /// Adds a version.
    pub fn add(&self, game: &str, variant: &str, version: &str, manifest: Manifest) {
        lock(&self.versions).insert((game.into(), variant.into(), version.into()), manifest);
    }

    fn as_catalog(&self) -> Catalog {
        let mut tree: BTreeMap<String, BTreeMap<String, Vec<String>>> = BTreeMap::new();
        for (game, variant, version) in lock(&self.versions).keys().cloned() {
            tree.entry(game).or_default().entry(variant).or_default().push(version);
        }
        let variants = |tree: BTreeMap<String, Vec<String>>| {
            tree.into_iter().map(|(id, versions)| CatalogVariant { id, versions }).collect()
        };
        Catalog {
            games: tree.into_iter().map(|(id, tree)| CatalogGame { id, variants: variants(tree) }).collect(),
        }
    }
}

fn injected() -> ArtifactError {
    ArtifactError::Unreachable("the scenario says so".into())
}

#[async_trait]
impl ArtifactSource for FakeArtifacts {
    async fn catalog(&self) -> Result<Arc<Catalog>, ArtifactError> {
        self.scenario.play("catalog", "", injected, || Ok(Arc::new(self.as_catalog()))).await
    }

    async fn manifest(
        &self,
        game: &str,
        variant: &str,
        version: &str,
    ) -> Result<Option<Manifest>, ArtifactError> {
        let key = (game.to_owned(), variant.to_owned(), version.to_owned());
        let subject = format!("{game}/{variant}/{version}");
        let work = || Ok(lock(&self.versions).get(&key).cloned());
        self.scenario.play("manifest", subject, injected, work).await
    }

    fn url(&self, game: &str, variant: &str, version: &str, file: &str) -> Result<String, ArtifactError> {
        let parts = [game, variant, version, file].map(checked);
        let parts: Vec<&str> = parts.into_iter().collect::<Result<_, _>>()?;
        Ok(format!("http://artifacts.invalid/{}", parts.join("/")))
    }
}
