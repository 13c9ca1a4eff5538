//! `[traefik]`: routes for a Traefik in front of servers.

use runtime::config::{Invalid, Key, Kind, Section};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

/// Traefik.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TraefikSection {
    /// What Traefik shows.
    #[serde(skip_serializing)]
    pub token: SecretString,
    /// Whether Minecraft servers are routed as well.
    pub minecraft: bool,
    /// Where workspaces are opened.
    pub workspaces_url: String,
}

/// Shortest token: what nobody guesses.
const MIN_TOKEN: usize = 20;

impl Section for TraefikSection {
    fn name(&self) -> &'static str {
        "traefik"
    }

    fn keys(&self) -> &'static [Key] {
        const KEYS: &[Key] = &[
            Key::new(
                "token",
                Kind::Secret,
                "What Traefik's HTTP provider sends in `Authorization: Bearer`, at least 20 characters. Without it there is no \
                 `/edge/traefik`.",
            ),
            Key::new(
                "minecraft",
                Kind::Boolean,
                "Whether Minecraft servers get a TCP route too, where no Velocity is in front of them.",
            ),
            Key::new(
                "workspaces_url",
                Kind::Text,
                "Address of this API as Traefik reaches it, such as `http://10.0.0.2:8080`: each workspace's host name is routed \
                 there. Without it workspaces have no route of their own.",
            ),
        ];
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        let token = self.token.expose_secret();
        if !token.is_empty() && token.len() < MIN_TOKEN {
            return Err(Invalid::new("token", format!("must have at least {MIN_TOKEN} characters")));
        }
        if !self.workspaces_url.is_empty() {
            Invalid::unless_http_address("workspaces_url", &self.workspaces_url)?;
        }
        Ok(())
    }
}
