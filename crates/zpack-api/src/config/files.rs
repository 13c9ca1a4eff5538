//! `[files]`: how many files may be on their way at the same time.

use runtime::config::{Invalid, Key, Kind, Section};
use serde::{Deserialize, Serialize};

/// Uploads and downloads. None is held in memory, but each holds two connections.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilesSection {
    /// At the same time.
    pub max_transfers: u32,
    /// Of one account.
    pub transfers_per_customer: u32,
}

impl Default for FilesSection {
    fn default() -> Self {
        Self { max_transfers: 64, transfers_per_customer: 8 }
    }
}

impl Section for FilesSection {
    fn name(&self) -> &'static str {
        "files"
    }

    fn keys(&self) -> &'static [Key] {
        const KEYS: &[Key] = &[
            Key::new(
                "max_transfers",
                Kind::Integer,
                "Uploads and downloads at the same time; beyond them the answer is 503.",
            ),
            Key::new(
                "transfers_per_customer",
                Kind::Integer,
                "Uploads and downloads of one account at the same time; beyond them the answer is 429.",
            ),
        ];
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless_within("max_transfers", self.max_transfers, 1..=10_000)?;
        Invalid::unless_within("transfers_per_customer", self.transfers_per_customer, 1..=10_000)
    }
}
