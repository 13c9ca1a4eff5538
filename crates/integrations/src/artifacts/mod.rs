//! Where installable files come from: a catalogue, a manifest per version, and the addresses of the files.

mod fake;
mod http;
mod path;

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use self::{fake::FakeArtifacts, http::HttpArtifacts};

/// A source of artifacts. Nothing in it can be changed from here, so it needs no read-only decorator.
#[async_trait]
pub trait ArtifactSource: Send + Sync + std::fmt::Debug {
    /// Every game, variant and version there is.
    async fn catalog(&self) -> Result<Arc<Catalog>, ArtifactError>;

    /// The files of one version; `None` when the source does not have it.
    async fn manifest(
        &self,
        game: &str,
        variant: &str,
        version: &str,
    ) -> Result<Option<Manifest>, ArtifactError>;

    /// Where a file of a manifest is downloaded from.
    fn url(&self, game: &str, variant: &str, version: &str, file: &str) -> Result<String, ArtifactError>;
}

/// `_catalog.json`. Unknown members are ignored: the source is not ours alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// Games in the source's order.
    pub games: Vec<CatalogGame>,
}

/// A game in a catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogGame {
    /// For example `minecraft`.
    pub id: String,
    /// Its variants.
    pub variants: Vec<CatalogVariant>,
}

/// A variant in a catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogVariant {
    /// For example `paper`.
    pub id: String,
    /// Its versions in the source's order.
    pub versions: Vec<String>,
}

impl Catalog {
    /// The versions of a variant; `None` when the source does not have it.
    pub fn versions(&self, game: &str, variant: &str) -> Option<&[String]> {
        let game = self.games.iter().find(|candidate| candidate.id == game)?;
        game.variants.iter().find(|candidate| candidate.id == variant).map(|found| found.versions.as_slice())
    }
}

/// `manifest.json` of one version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its files.
    pub files: Vec<ManifestFile>,
}

/// A file of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// One path segment.
    pub name: String,
    /// SHA-256, 64 lower-case hex digits.
    pub sha256: String,
    /// Length in bytes.
    pub size: u64,
}

impl Manifest {
    /// The file of this name.
    pub fn file(&self, name: &str) -> Option<&ManifestFile> {
        self.files.iter().find(|file| file.name == name)
    }
}

/// Why a source did not answer a question.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// No answer, broken off, or a 5xx: may pass by itself.
    #[error("the artifact source does not answer: {0}")]
    Unreachable(String),
    /// An answer that cannot be used.
    #[error("the artifact source's answer makes no sense: {0}")]
    Invalid(String),
    /// A name that is not one path segment.
    #[error("{0:?} cannot be a part of an artifact's address")]
    BadName(String),
    /// The base address is not an http or https URL without query and fragment.
    #[error("{0:?} is not the address of an artifact source")]
    BadBase(String),
}

impl ArtifactError {
    /// Whether trying again can help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }
}
