//! Configuration of provision-worker.

mod backups;
mod engine;
mod provisioning;
mod trust;

use runtime::config::{AgentSection, ArtifactsSection, Common, Config, EdgeSection, ObjectsSection, Section};
use serde::{Deserialize, Serialize};

pub use backups::BackupsSection;
pub use engine::{EngineKind, EngineSection};
pub use provisioning::ProvisioningSection;
pub use trust::TrustSection;

/// Port of health and metrics.
const HEALTH_PORT: u16 = 9_102;

/// All of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerConfig {
    /// How much is done at once.
    pub provisioning: ProvisioningSection,
    /// The engine, and the node that it presents.
    pub engine: EngineSection,
    /// This daemon's key.
    pub agent: AgentSection,
    /// Other daemons' keys that agents trust.
    pub trust: TrustSection,
    /// Where backups lie.
    pub objects: ObjectsSection,
    /// How backups are made and looked after.
    pub backups: BackupsSection,
    /// How servers are named.
    pub edge: EdgeSection,
    /// Where games' files come from.
    pub artifacts: ArtifactsSection,
}

impl Config for WorkerConfig {
    fn sections(&self) -> Vec<&dyn Section> {
        vec![
            &self.provisioning,
            &self.engine,
            &self.agent,
            &self.trust,
            &self.objects,
            &self.backups,
            &self.edge,
            &self.artifacts,
        ]
    }

    fn common() -> Common {
        Common::with_health_on(HEALTH_PORT)
    }
}

#[cfg(test)]
mod tests {
    use runtime::config::assert_described;

    use super::*;

    #[test]
    fn every_section_is_described_as_it_is() {
        assert_described::<BackupsSection>();
        assert_described::<ProvisioningSection>();
        assert_described::<EngineSection>();
        assert_described::<TrustSection>();
    }
}
