//! The configuration of zpack-api: the shared sections and its own.

mod api;
mod billing;
mod console;
mod files;
mod ide;
mod network;
mod public_url;
mod rate_limits;
mod schedules;
mod traefik;

use runtime::config::{
    AgentSection, ArtifactsSection, CatalogueSection, Common, Config, DatabaseSection, ObjectsSection,
    Section, StripeSection,
};
use serde::{Deserialize, Serialize};

pub use api::ApiSection;
pub use billing::BillingSection;
pub use console::ConsoleSection;
pub use files::FilesSection;
pub use ide::IdeSection;
pub use network::Network;
pub use public_url::PublicUrl;
pub use rate_limits::RateLimitsSection;
pub use schedules::SchedulesSection;
pub use traefik::TraefikSection;

/// Port of health and metrics.
const HEALTH_PORT: u16 = 9_180;

/// What is its own. The API's default port is 8080.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiConfig {
    /// `[api]`
    pub api: ApiSection,
    /// `[rate_limits]`
    pub rate_limits: RateLimitsSection,
    /// `[schedules]`
    pub schedules: SchedulesSection,
    /// `[catalogue]`
    pub catalogue: CatalogueSection,
    /// `[console]`
    pub console: ConsoleSection,
    /// `[files]`
    pub files: FilesSection,
    /// `[ide]`
    pub ide: IdeSection,
    /// `[traefik]`
    pub traefik: TraefikSection,
    /// `[billing]`
    pub billing: BillingSection,
    /// `[stripe]`
    pub stripe: StripeSection,
    /// `[artifacts]`
    pub artifacts: ArtifactsSection,
    /// `[agent]`
    pub agent: AgentSection,
    /// `[objects]`
    pub objects: ObjectsSection,
}

impl Config for ApiConfig {
    fn sections(&self) -> Vec<&dyn Section> {
        vec![
            &self.api,
            &self.rate_limits,
            &self.schedules,
            &self.catalogue,
            &self.console,
            &self.files,
            &self.ide,
            &self.traefik,
            &self.billing,
            &self.stripe,
            &self.artifacts,
            &self.agent,
            &self.objects,
        ]
    }

    fn common() -> Common {
        Common {
            // A client is told after two seconds that the database is away, rather than left to wait.
            database: DatabaseSection { acquire_timeout_ms: 2_000, ..DatabaseSection::default() },
            ..Common::with_health_on(HEALTH_PORT)
        }
    }
}

#[cfg(test)]
mod tests {
    use runtime::config::assert_described;

    use super::*;

    #[test]
    fn every_section_is_described_as_it_is() {
        assert_described::<ApiSection>();
        assert_described::<TraefikSection>();
        assert_described::<RateLimitsSection>();
        assert_described::<SchedulesSection>();
        assert_described::<BillingSection>();
        assert_described::<IdeSection>();
        assert_described::<ConsoleSection>();
        assert_described::<FilesSection>();
    }
}
