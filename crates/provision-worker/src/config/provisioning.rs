//! `[provisioning]`: how much is done at once.

use runtime::config::{Invalid, Key, Kind, Section};
use serde::{Deserialize, Serialize};

/// How operations are worked on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProvisioningSection {
    /// Operations at once in this process.
    pub concurrency: usize,
}

impl Default for ProvisioningSection {
    fn default() -> Self {
        Self { concurrency: 1 }
    }
}

impl Section for ProvisioningSection {
    fn name(&self) -> &'static str {
        "provisioning"
    }

    fn keys(&self) -> &'static [Key] {
        const KEYS: &[Key] =
            &[Key::new("concurrency", Kind::Integer, "Operations that this process works on at once.")];
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless_within("concurrency", self.concurrency, 1..=64)
    }
}
