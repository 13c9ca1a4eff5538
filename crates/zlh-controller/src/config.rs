//! Configuration of zlh-controller.

use std::time::Duration;

use runtime::config::{
    Common, Config, DiscordSection, EdgeSection, Invalid, Key, Kind, MailSection, Section,
};
use serde::{Deserialize, Serialize};

/// Port of health and metrics.
const HEALTH_PORT: u16 = 9_103;

/// All of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ControllerConfig {
    /// How often it looks, and how much it has repaired.
    pub controller: ControllerSection,
    /// How servers are named.
    pub edge: EdgeSection,
    /// How operators are told.
    pub discord: DiscordSection,
    /// How mails are sent.
    pub mail: MailSection,
}

impl Config for ControllerConfig {
    fn sections(&self) -> Vec<&dyn Section> {
        vec![&self.controller, &self.edge, &self.discord, &self.mail]
    }

    fn common() -> Common {
        Common::with_health_on(HEALTH_PORT)
    }
}

/// `[controller]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControllerSection {
    /// Pause between two passes.
    pub pass_seconds: u32,
    /// Repairs in an hour.
    pub hourly_budget: u32,
    /// Address of Traefik's API; empty if it is not looked at.
    pub traefik_api_url: String,
    /// Whether Minecraft servers have a route there.
    pub traefik_minecraft: bool,
    /// Whether workspaces have.
    pub traefik_workspaces: bool,
}

impl ControllerSection {
    /// Between two looks while nothing changes.
    pub fn pause(&self) -> Duration {
        Duration::from_secs(self.pass_seconds.into())
    }
}

impl Default for ControllerSection {
    fn default() -> Self {
        Self {
            pass_seconds: 15,
            hourly_budget: 20,
            traefik_api_url: String::new(),
            traefik_minecraft: false,
            traefik_workspaces: false,
        }
    }
}

impl Section for ControllerSection {
    fn name(&self) -> &'static str {
        "controller"
    }

    fn keys(&self) -> &'static [Key] {
        const KEYS: &[Key] = &[
            Key::new(
                "pass_seconds",
                Kind::Integer,
                "Pause between two looks at everything, in seconds, while nothing changes. A look that was asked for comes at once, one \
                 after a change in a third of the time.",
            ),
            Key::new(
                "hourly_budget",
                Kind::Integer,
                "Most repairs that are asked for in an hour, whatever is found.",
            ),
            Key::new(
                "traefik_api_url",
                Kind::Text,
                "Address of Traefik's API, such as `http://10.0.0.4:8080`: a route of `/edge/traefik` that Traefik has not taken up \
                 is a finding. Without it nobody looks.",
            ),
            Key::new(
                "traefik_minecraft",
                Kind::Boolean,
                "Whether Minecraft servers have a route there: as `traefik.minecraft` of zpack-api.",
            ),
            Key::new(
                "traefik_workspaces",
                Kind::Boolean,
                "Whether workspaces have a route there: whether zpack-api has `traefik.workspaces_url`.",
            ),
        ];
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless_within("pass_seconds", self.pass_seconds, 1..=120)?;
        Invalid::unless_within("hourly_budget", self.hourly_budget, 0..=10_000)?;
        if !self.traefik_api_url.is_empty() {
            Invalid::unless_http_address("traefik_api_url", &self.traefik_api_url)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use runtime::config::assert_described;

    use super::*;

    #[test]
    fn every_section_is_described_as_it_is() {
        assert_described::<ControllerSection>();
    }
}
