//! Configuration of provision-worker.

mod backups;
mod engine;
mod provisioning;
mod trust;

use runtime::config::{
    AgentSection, ArtifactsSection, Config, DatabaseSection, HealthSection, LoggingSection, ObjectsSection,
    ProcessSection, RedisSection, Section,
};
use serde::{Deserialize, Serialize};

pub use backups::BackupsSection;
pub use engine::EngineSection;
pub use provisioning::ProvisioningSection;
pub use trust::TrustSection;

/// Port of health and metrics.
const HEALTH_PORT: u16 = 9_102;

/// All of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerConfig {
    /// PostgreSQL, as `zlh_provision`.
    pub database: DatabaseSection,
    /// The queue.
    pub redis: RedisSection,
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
    /// Where games' files come from.
    pub artifacts: ArtifactsSection,
    /// The log.
    pub logging: LoggingSection,
    /// Health and metrics.
    pub health: HealthSection,
    /// Threads and drain.
    pub process: ProcessSection,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            database: DatabaseSection::default(),
            redis: RedisSection::default(),
            provisioning: ProvisioningSection::default(),
            engine: EngineSection::default(),
            agent: AgentSection::default(),
            trust: TrustSection::default(),
            objects: ObjectsSection::default(),
            backups: BackupsSection::default(),
            artifacts: ArtifactsSection::default(),
            logging: LoggingSection::default(),
            health: HealthSection::on(HEALTH_PORT),
            process: ProcessSection::default(),
        }
    }
}

impl Config for WorkerConfig {
    fn sections(&self) -> Vec<&dyn Section> {
        vec![
            &self.database,
            &self.redis,
            &self.provisioning,
            &self.engine,
            &self.agent,
            &self.trust,
            &self.objects,
            &self.backups,
            &self.artifacts,
            &self.logging,
            &self.health,
            &self.process,
        ]
    }

    fn logging(&self) -> &LoggingSection {
        &self.logging
    }

    fn health(&self) -> &HealthSection {
        &self.health
    }

    fn process(&self) -> &ProcessSection {
        &self.process
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
