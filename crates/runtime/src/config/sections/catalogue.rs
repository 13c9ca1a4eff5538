//! `[catalogue]`: the blueprints and plans on offer.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::{Invalid, Key, Kind, Section};

/// Where blueprints and plans are read from, at start.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CatalogueSection {
    /// A folder with `plans.toml` and `blueprints/*.toml`.
    pub dir: PathBuf,
}

impl Default for CatalogueSection {
    fn default() -> Self {
        Self { dir: PathBuf::from("/usr/share/zlh/catalogue") }
    }
}

impl Section for CatalogueSection {
    fn name(&self) -> &'static str {
        "catalogue"
    }

    fn keys(&self) -> &'static [Key] {
        const KEYS: &[Key] = &[Key::new(
            "dir",
            Kind::Path,
            "Folder with `plans.toml` and `blueprints/*.toml`; read at start.",
        )];
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        if self.dir.join("plans.toml").is_file() {
            return Ok(());
        }
        Err(Invalid::new("dir", format!("{} has no plans.toml", self.dir.display())))
    }
}
