//! Configuration of billing-worker.

use runtime::config::{CatalogueSection, Common, Config, Invalid, Key, Kind, Section, StripeSection};
use serde::{Deserialize, Serialize};

/// Port of health and metrics.
const HEALTH_PORT: u16 = 9_105;

/// All of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BillingConfig {
    /// `[enforcement]`
    pub enforcement: EnforcementSection,
    /// `[stripe]`
    pub stripe: StripeSection,
    /// `[catalogue]`
    pub catalogue: CatalogueSection,
}

impl Config for BillingConfig {
    fn sections(&self) -> Vec<&dyn Section> {
        vec![&self.enforcement, &self.stripe, &self.catalogue]
    }

    fn common() -> Common {
        Common::with_health_on(HEALTH_PORT)
    }
}

/// Enforcement.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnforcementSection {
    /// Whether operators are told.
    pub tell_operators: bool,
    /// How often events are looked for that never arrived.
    pub backfill_hours: u16,
}

impl Default for EnforcementSection {
    fn default() -> Self {
        Self { tell_operators: true, backfill_hours: 24 }
    }
}

impl Section for EnforcementSection {
    fn name(&self) -> &'static str {
        "enforcement"
    }

    fn keys(&self) -> &'static [Key] {
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        // Stripe keeps events for 30 days.
        Invalid::unless_within("backfill_hours", self.backfill_hours, 1..=24 * 28)
    }
}

const KEYS: &[Key] = &[
    Key::new(
        "tell_operators",
        Kind::Boolean,
        "Whether operators are told of suspensions, disputes and what needs a person, by zlh-controller's `[discord]`.",
    ),
    Key::new(
        "backfill_hours",
        Kind::Integer,
        "How often events that never arrived are looked for at Stripe, and every customer is compared; 1 to 672.",
    ),
];

#[cfg(test)]
mod tests {
    use runtime::config::assert_described;

    use super::*;

    #[test]
    fn the_section_is_described_as_it_is() {
        assert_described::<EnforcementSection>();
        assert!(
            EnforcementSection { backfill_hours: 0, ..EnforcementSection::default() }.validate().is_err()
        );
    }
}
