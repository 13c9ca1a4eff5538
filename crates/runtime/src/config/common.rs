//! The sections that every daemon has.

use serde::{Deserialize, Serialize};

use super::{Config, DatabaseSection, HealthSection, LoggingSection, ProcessSection, RedisSection, Section};

/// What every daemon is told: where its database and queues are, how it logs, where it serves its health.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Common {
    /// PostgreSQL, with the daemon's own role.
    pub database: DatabaseSection,
    /// The queues.
    pub redis: RedisSection,
    /// The log.
    pub logging: LoggingSection,
    /// Health and metrics.
    pub health: HealthSection,
    /// Threads and drain.
    pub process: ProcessSection,
}

impl Common {
    /// The defaults of a daemon that serves its health on this loopback port.
    pub fn with_health_on(port: u16) -> Self {
        Self { health: HealthSection::on(port), ..Self::default() }
    }

    fn sections(&self) -> [&dyn Section; 5] {
        [&self.database, &self.redis, &self.logging, &self.health, &self.process]
    }
}

/// All the configuration of one daemon.
#[derive(Debug, Clone)]
pub struct DaemonConfig<C> {
    /// What is its own.
    pub own: C,
    /// What every daemon has.
    pub common: Common,
}

impl<C: Config> Default for DaemonConfig<C> {
    fn default() -> Self {
        Self { own: C::default(), common: C::common() }
    }
}

impl<C: Config> DaemonConfig<C> {
    /// Every section, the shared ones last.
    pub(super) fn sections(&self) -> Vec<&dyn Section> {
        self.own.sections().into_iter().chain(self.common.sections()).collect()
    }
}
