//! Configuration of repair-worker.

use runtime::config::{Common, Config, EdgeSection, Section};
use serde::{Deserialize, Serialize};

/// Port of health and metrics.
const HEALTH_PORT: u16 = 9_104;

/// All of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RepairConfig {
    /// How servers are named.
    pub edge: EdgeSection,
}

impl Config for RepairConfig {
    fn sections(&self) -> Vec<&dyn Section> {
        vec![&self.edge]
    }

    fn common() -> Common {
        Common::with_health_on(HEALTH_PORT)
    }
}
