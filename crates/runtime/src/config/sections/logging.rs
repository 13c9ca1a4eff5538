//! `[logging]`: what is logged and in which shape.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use crate::config::{Invalid, Key, Kind, Section};

/// What is logged and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoggingSection {
    /// The shape of a line.
    pub format: LogFormat,
    /// Directives such as `info,sqlx=warn`.
    pub filter: String,
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty on a terminal, journald under systemd, else JSON.
    Auto,
    /// One JSON object a line.
    Json,
    /// The journal's own protocol, with fields.
    Journald,
    /// For people.
    Pretty,
}

impl Default for LoggingSection {
    fn default() -> Self {
        // What the queue's library says of a lost connection we say in a sentence, with what follows.
        Self {
            format: LogFormat::Auto,
            filter: "info,apalis=off,apalis_core=off,apalis_redis=off".to_owned(),
        }
    }
}

impl Section for LoggingSection {
    fn name(&self) -> &'static str {
        "logging"
    }

    fn keys(&self) -> &'static [Key] {
        const KEYS: &[Key] = &[
            Key::new(
                "format",
                Kind::Choice(&["auto", "json", "journald", "pretty"]),
                "Shape of the log. `auto` is pretty on a terminal, journald under systemd, else JSON.",
            ),
            Key::new("filter", Kind::Text, "What is logged, as tracing directives: `info,store=debug`."),
        ];
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        EnvFilter::try_new(&self.filter)
            .map(drop)
            .map_err(|error| Invalid::new("filter", format!("{:?} is not a filter: {error}", self.filter)))
    }
}
