//! What the rules need of the catalogue.

use std::path::Path;

use anyhow::Context as _;
use domain::{
    enforcement::Timings,
    plan::{Plan, parse_plans},
};
use store::billing::Catalogue;

/// The plans, as they were at start.
#[derive(Clone, Debug)]
pub struct Plans(Vec<Plan>);

impl Plans {
    /// Reads `plans.toml` in this folder.
    pub fn load(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("plans.toml");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(Self(parse_plans(&text).with_context(|| path.display().to_string())?))
    }
}

impl Catalogue for Plans {
    fn plan_of(&self, price: &str) -> Option<String> {
        let plan = self.0.iter().find(|plan| plan.stripe_prices.values().any(|it| it == price));
        plan.map(|plan| plan.id.clone())
    }

    fn timings(&self, plans: &[String]) -> Timings {
        domain::plan::timings(&self.0, plans)
    }
}
