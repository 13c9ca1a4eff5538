//! Plans: resources and price. Data, read from `catalogue/plans.toml`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    enforcement::Timings,
    instance::{InstanceKind, Resources},
};

/// What a customer buys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Stable id.
    pub id: String,
    /// For people.
    pub name: String,
    /// Which instances it is for.
    pub kind: InstanceKind,
    /// Upper limits of one instance.
    pub resources: Resources,
    /// Most backups that are kept of one instance; the oldest give way.
    pub backups: u32,
    /// Price per month in the currency's minor unit.
    pub price_minor: u32,
    /// ISO 4217 code.
    pub currency: String,
    /// Ids of its prices at Stripe, by ISO 4217 code in lower case. Without one it cannot be bought, only granted.
    #[serde(default)]
    pub stripe_prices: BTreeMap<String, String>,
    /// How long an open payment may stay open.
    #[serde(default)]
    pub enforcement: Timings,
}

/// How long payments may stay open for somebody who has servers of these plans: each stage as late as any of them says. Plans that
/// are not sold any more say nothing.
pub fn timings(plans: &[Plan], had: &[String]) -> Timings {
    let of_had = plans.iter().filter(|plan| had.contains(&plan.id)).map(|plan| plan.enforcement);
    of_had.reduce(Timings::or_later).unwrap_or_default()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlansFile {
    plan: Vec<Plan>,
}

/// Why a plans file is refused.
#[derive(Debug, thiserror::Error)]
pub enum PlansError {
    /// Not TOML of this shape.
    #[error("plans.toml")]
    Shape(#[from] toml::de::Error),
    /// Two plans with one id, or one without resources.
    #[error("plan {0:?} is there twice or has a zero limit")]
    Invalid(String),
    /// Servers would be stopped without a warning.
    #[error("plan {0:?}: final_warning_days is at least 1 and less than suspend_days")]
    Timings(String),
    /// Two plans with one price: what was bought could not be told.
    #[error("the Stripe price {0:?} is that of two plans, or its currency is not written in lower case")]
    Price(String),
}

/// Reads `plans.toml`.
pub fn parse_plans(text: &str) -> Result<Vec<Plan>, PlansError> {
    let plans = toml::from_str::<PlansFile>(text)?.plan;
    for (n, plan) in plans.iter().enumerate() {
        let r = plan.resources;
        let zero = r.memory_mib == 0 || r.cpu_percent == 0 || r.disk_mib == 0;
        if zero || plans.iter().take(n).any(|earlier| earlier.id == plan.id) {
            return Err(PlansError::Invalid(plan.id.clone()));
        }
        if !plan.enforcement.are_in_order() {
            return Err(PlansError::Timings(plan.id.clone()));
        }
        for (currency, price) in &plan.stripe_prices {
            let taken =
                plans.iter().take(n).any(|earlier| earlier.stripe_prices.values().any(|it| it == price));
            if taken || currency.chars().any(|c| !c.is_ascii_lowercase()) || currency.len() != 3 {
                return Err(PlansError::Price(price.clone()));
            }
        }
    }
    Ok(plans)
}
