//! `[discord]`: where operators are told.

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::config::{Invalid, Key, Kind, Section};

/// The same for every daemon that tells operators.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiscordSection {
    /// Address of the channel's webhook; its token is in it.
    #[serde(skip_serializing)]
    pub webhook_url: SecretString,
    /// Address of the Portal, for links.
    pub portal_url: String,
}

impl DiscordSection {
    /// Whether there is anybody to tell.
    pub fn is_on(&self) -> bool {
        !self.webhook_url.expose_secret().is_empty()
    }
}

impl Section for DiscordSection {
    fn name(&self) -> &'static str {
        "discord"
    }

    fn keys(&self) -> &'static [Key] {
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        if self.is_on() {
            Invalid::unless_http_address("webhook_url", self.webhook_url.expose_secret())?;
        }
        if !self.portal_url.is_empty() {
            Invalid::unless_http_address("portal_url", &self.portal_url)?;
        }
        Ok(())
    }
}

const KEYS: &[Key] = &[
    Key::new(
        "webhook_url",
        Kind::Secret,
        "Address of a Discord webhook, as Discord shows it (Channel settings, Integrations, Webhooks): one message for each \
         incident. Without it nobody is told; `zlh-controller findings` and the Portal show the same.",
    ),
    Key::new("portal_url", Kind::Text, "Address of the Portal, for the link in a message."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_an_address_or_nothing() {
        assert!(DiscordSection::default().validate().is_ok() && !DiscordSection::default().is_on());
        let section = |url: &str| DiscordSection { webhook_url: url.into(), portal_url: String::new() };
        assert!(section("https://discord.com/api/webhooks/1/abc").validate().is_ok());
        assert_eq!(section("discord.com/api").validate().unwrap_err().key, "webhook_url");
    }
}
