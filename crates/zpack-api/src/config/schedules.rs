//! `[schedules]`: how many a server may have, and how often they run.

use chrono::TimeDelta;
use runtime::config::{Invalid, Key, Kind, Section};
use serde::{Deserialize, Serialize};

/// Bounds of schedules.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SchedulesSection {
    /// Most schedules of one server.
    pub max_per_instance: u32,
    /// Least time between two runs of a schedule, in minutes.
    pub min_interval_minutes: u32,
}

impl Default for SchedulesSection {
    fn default() -> Self {
        Self { max_per_instance: 20, min_interval_minutes: 5 }
    }
}

impl SchedulesSection {
    /// Least time between two runs of a schedule.
    pub fn spacing(&self) -> TimeDelta {
        TimeDelta::minutes(self.min_interval_minutes.into())
    }
}

impl Section for SchedulesSection {
    fn name(&self) -> &'static str {
        "schedules"
    }

    fn keys(&self) -> &'static [Key] {
        const KEYS: &[Key] = &[
            Key::new("max_per_instance", Kind::Integer, "Most schedules of one server."),
            Key::new(
                "min_interval_minutes",
                Kind::Integer,
                "Least time between two runs of a schedule, in minutes; what would run more often is refused.",
            ),
        ];
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless_within("max_per_instance", self.max_per_instance, 0..=1_000)?;
        Invalid::unless_within("min_interval_minutes", self.min_interval_minutes, 1..=1_440)
    }
}
