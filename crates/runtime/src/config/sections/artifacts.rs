//! `[artifacts]`: where the files of games come from.

use serde::{Deserialize, Serialize};

use crate::config::{Invalid, Key, Kind, Section};

/// The artifact source.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ArtifactsSection {
    /// Its address, without `_catalog.json`.
    pub base_url: String,
}

impl Default for ArtifactsSection {
    fn default() -> Self {
        Self { base_url: "http://127.0.0.1:8090".to_owned() }
    }
}

impl Section for ArtifactsSection {
    fn name(&self) -> &'static str {
        "artifacts"
    }

    fn keys(&self) -> &'static [Key] {
        const KEYS: &[Key] = &[Key::new(
            "base_url",
            Kind::Text,
            "Address (http or https) of the artifact source, below which `_catalog.json` is.",
        )];
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless_http_address("base_url", &self.base_url)
    }
}
