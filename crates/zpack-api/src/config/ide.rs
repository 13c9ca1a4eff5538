//! `[ide]`: how development workspaces are opened in a browser.

use runtime::config::{Invalid, Key, Kind, Section};
use serde::{Deserialize, Serialize};

/// Workspaces.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdeSection {
    /// Below it each workspace has its own host name.
    pub domain: String,
    /// Minutes without use after which a workspace is stopped; 0 never.
    pub idle_stop_minutes: u32,
    /// How long a ticket can be used, in seconds.
    pub ticket_seconds: u32,
    /// How long an opened workspace stays open, in hours.
    pub session_hours: u32,
}

impl Default for IdeSection {
    fn default() -> Self {
        Self {
            domain: "ide.localhost".to_owned(),
            idle_stop_minutes: 60,
            ticket_seconds: 60,
            session_hours: 12,
        }
    }
}

impl Section for IdeSection {
    fn name(&self) -> &'static str {
        "ide"
    }

    fn keys(&self) -> &'static [Key] {
        const KEYS: &[Key] = &[
            Key::new(
                "domain",
                Kind::Text,
                "Workspaces are at `{hostname}.{domain}`, with scheme and port of `api.public_url`. On a public \
                 installation a domain that has nothing else on it, best not below the Portal's own.",
            ),
            Key::new(
                "idle_stop_minutes",
                Kind::Integer,
                "Minutes after which a workspace that nobody has open is stopped. 0 never stops one.",
            ),
            Key::new(
                "ticket_seconds",
                Kind::Integer,
                "Seconds in which the link that opens a workspace can be used, once.",
            ),
            Key::new(
                "session_hours",
                Kind::Integer,
                "Hours after which an open workspace asks for the Portal again. It ends with the Portal's session in any case.",
            ),
        ];
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_domain = self.domain.split('.').all(|label| !label.is_empty() && label.chars().all(plain));
        if !is_domain {
            return Err(Invalid::new(
                "domain",
                "must be a domain name in lower case, without scheme and port",
            ));
        }
        Invalid::unless_within("idle_stop_minutes", self.idle_stop_minutes, 0..=100_000)?;
        Invalid::unless_within("ticket_seconds", self.ticket_seconds, 5..=3_600)?;
        Invalid::unless_within("session_hours", self.session_hours, 1..=720)
    }
}
