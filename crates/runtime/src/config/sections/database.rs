//! `[database]`: PostgreSQL, which each daemon reaches with a role of its own.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::config::{Invalid, Key, Kind, Section};

/// How to reach PostgreSQL.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSection {
    /// Connection URL with the daemon's own role. Required.
    #[serde(skip_serializing)]
    pub url: SecretString,
    /// Most connections this daemon opens.
    pub max_connections: u32,
    /// How long a caller waits for a free connection, in milliseconds.
    pub acquire_timeout_ms: u64,
}

impl DatabaseSection {
    /// How long a caller waits for a free connection.
    pub fn acquire_timeout(&self) -> Duration {
        Duration::from_millis(self.acquire_timeout_ms)
    }
}

impl Default for DatabaseSection {
    fn default() -> Self {
        Self { url: SecretString::default(), max_connections: 8, acquire_timeout_ms: 5_000 }
    }
}

impl Section for DatabaseSection {
    fn name(&self) -> &'static str {
        "database"
    }

    fn keys(&self) -> &'static [Key] {
        const KEYS: &[Key] = &[
            Key::new(
                "url",
                Kind::Secret,
                "PostgreSQL URL (`postgres://role:password@host:port/database`), with this daemon's own role. Required.",
            ),
            Key::new("max_connections", Kind::Integer, "Most connections this daemon opens."),
            Key::new(
                "acquire_timeout_ms",
                Kind::Integer,
                "How long a request waits for a free connection, in milliseconds.",
            ),
        ];
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        let url = self.url.expose_secret();
        if url.is_empty() {
            return Err(Invalid::new(
                "url",
                "required: set database.url, database.url_file or the credential database.url",
            ));
        }
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(Invalid::new("url", "must begin with postgres://"));
        }
        Invalid::unless_within("max_connections", self.max_connections, 1..=1_000)?;
        Invalid::unless_within("acquire_timeout_ms", self.acquire_timeout_ms, 10..=300_000)
    }
}
