//! `[redis]`: the queues. They carry ids only, so losing them loses nothing.

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::config::{Invalid, Key, Kind, Section};

/// How to reach Redis.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisSection {
    /// Connection URL. Required.
    #[serde(skip_serializing)]
    pub url: SecretString,
    /// Goes before the name of every queue, so that installations can share a server.
    pub queue_prefix: String,
}

impl Default for RedisSection {
    fn default() -> Self {
        Self { url: SecretString::default(), queue_prefix: "zlh".to_owned() }
    }
}

impl Section for RedisSection {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn keys(&self) -> &'static [Key] {
        const KEYS: &[Key] = &[
            Key::new("url", Kind::Secret, "Redis URL (`redis://:password@host:port/0`). Required."),
            Key::new(
                "queue_prefix",
                Kind::Text,
                "Goes before the name of every queue, so that several installations can share one server.",
            ),
        ];
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        let url = self.url.expose_secret();
        if url.is_empty() {
            return Err(Invalid::new(
                "url",
                "required: set redis.url, redis.url_file or the credential redis.url",
            ));
        }
        let known = ["redis://", "rediss://", "redis+unix://", "unix://"];
        if !known.iter().any(|scheme| url.starts_with(scheme)) {
            return Err(Invalid::new("url", "must begin with redis://"));
        }
        let usable = |c: char| c.is_ascii_alphanumeric() || "-_:".contains(c);
        if self.queue_prefix.is_empty() || !self.queue_prefix.chars().all(usable) {
            return Err(Invalid::new("queue_prefix", "must be letters, digits, '-', '_' or ':'"));
        }
        Ok(())
    }
}
