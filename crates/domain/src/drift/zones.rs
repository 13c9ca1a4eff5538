//! Zones of the edge that will take no more records soon: then no server can be made any more.

use super::{Finding, Look, Rule, Source, rules::general};
use crate::edge::ZoneFacts;

/// A zone is nearly full when so many of a hundred places are taken.
const NEARLY_FULL_PERCENT: usize = 90;

/// Every zone that is nearly full.
pub(super) fn find(look: &Look) -> Vec<Finding> {
    look.zones.iter().filter_map(nearly_full).collect()
}

fn nearly_full(zone: &ZoneFacts) -> Option<Finding> {
    let ZoneFacts { part, records, limit } = zone;
    let limit = limit.as_ref()?;
    if records.saturating_mul(100) < limit.saturating_mul(NEARLY_FULL_PERCENT) {
        return None;
    }
    Some(Finding {
        source: Source::Edge(part.clone()),
        subject: part.clone(),
        desired: format!("fewer than {NEARLY_FULL_PERCENT} % of {limit} records"),
        proposal: Some(
            "have the zone's limit raised, or remove records that nobody needs; with a wildcard record servers need fewer"
                .to_owned(),
        ),
        ..general(Rule::ZoneNearlyFull, format!("{records} of {limit} records"))
    })
}
