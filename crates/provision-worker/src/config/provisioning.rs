//! `[provisioning]`: how much is done at once.

use runtime::config::{Invalid, Key, Kind, Section};
use serde::{Deserialize, Serialize};

/// How operations are worked on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProvisioningSection {
    /// Creates and deletes at once in this process; those that only wait for a server's agent do not count.
    pub concurrency: usize,
    /// Of one customer, those that only wait included.
    pub per_customer: u32,
}

impl Default for ProvisioningSection {
    fn default() -> Self {
        Self { concurrency: 1, per_customer: 4 }
    }
}

impl Section for ProvisioningSection {
    fn name(&self) -> &'static str {
        "provisioning"
    }

    fn keys(&self) -> &'static [Key] {
        const KEYS: &[Key] = &[
            Key::new(
                "concurrency",
                Kind::Integer,
                "Creates and deletes that this process works on at once; those that only wait for a server's agent do not \
                 count.",
            ),
            Key::new(
                "per_customer",
                Kind::Integer,
                "Creates and deletes of one customer that may be under way at once, those that only wait included. While \
                 other customers wait, each has one.",
            ),
        ];
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless_within("concurrency", self.concurrency, 1..=64)?;
        Invalid::unless_within("per_customer", self.per_customer, 1..=64)
    }
}
